package replica

import (
	"cmp"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/scanedge/scanedge/sync/access"
)

// voice is who this process says that it is. While an edge is handed from one process to the next, both answer scans, and to the origin
// they are one edge that shows an offset when both do.
type voice struct {
	id    string
	speak chan struct{} // closed when there is anything to tell

	mu     sync.Mutex // guards
	since  time.Time  // from when on this process is the one in charge
	beside []string
	taken  chan struct{} // closed when the origin has taken a report that says all that; nil: it was
	said   bool          // the report that is on its way says it
}

func newVoice(id string, silent bool) *voice {
	v := &voice{id: cmp.Or(id, rand.Text()), speak: make(chan struct{}), since: time.Now()}
	if !silent {
		close(v.speak)
	}
	return v
}

// in writes it into a report.
func (v *voice) in(r *access.Report) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r.Incarnation, r.Since, r.Beside = v.id, v.since.UnixMicro(), v.beside
	v.said = true
}

// heard is called when the origin has taken a report, before the next one is made.
func (v *voice) heard() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.said && v.taken != nil {
		close(v.taken)
		v.taken = nil
	}
}

// InCharge makes the origin told that this process is the one in charge of its edge since a time. It is since [New], unless this says otherwise.
func (k *Keeper) InCharge(since time.Time) {
	k.voice.mu.Lock()
	defer k.voice.mu.Unlock()
	k.voice.since = since
	k.voice.said = false
	moved(k.news)
}

// Since is from when on this process is the one in charge.
func (k *Keeper) Since() time.Time {
	k.voice.mu.Lock()
	defer k.voice.mu.Unlock()
	return k.voice.since
}

// Beside makes the origin told that another process of this edge answers scans too, or may at any moment; or that it does not any more. A
// [Config.Silent] keeper tells nothing before its first call. What is returned is closed when the origin has taken it.
func (k *Keeper) Beside(incarnation string, answers bool) (taken <-chan struct{}) {
	v := k.voice
	v.mu.Lock()
	defer v.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(v.beside), func(id string) bool { return id == incarnation })
	if answers {
		others = append(others, incarnation)
	}
	v.beside, v.said = others, false
	if v.taken == nil {
		v.taken = make(chan struct{})
	}
	select {
	case <-v.speak:
	default:
		close(v.speak)
	}
	moved(k.news)
	return v.taken
}
