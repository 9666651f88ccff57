package origin

import (
	"sync"
	"time"

	"github.com/scanedge/scanedge/sync/issuer"
)

// What a tail holds: at most so many bytes of records, which are fewer in tests, the newest whatever its size, and none for longer than
// an edge needs to come back after a cut that it had to notice by silence.
var tailBytes = 8 << 20

const tailFor = 15 * time.Second

// tail is the newest records of an issuer's log, beats included. Edges that are abreast of the log are fed from here, all from the
// same bytes and a moment after their fsync; one that falls behind reads the log until it has caught up. Its methods are safe for
// concurrent use; the writer alone changes it.
type tail struct {
	mu      sync.Mutex
	base    uint64 // offset of the last chained record before those here
	records []tailed
	bytes   int           // of all of them
	changed chan struct{} // closed at the next change
}

// tailed is a record, which nobody changes any more.
type tailed struct {
	offset  uint64
	record  []byte
	chained bool
	came    time.Time
}

func newTail() *tail { return &tail{changed: make(chan struct{})} }

// reset forgets all: the log holds chained records up to base, and what follows is not known.
func (t *tail) reset(base uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.base, t.records, t.bytes = base, nil, 0
	t.tell()
}

// add adds records that the log has on disk, in order. They stay as they are from now on.
func (t *tail) add(now time.Time, chained bool, records ...[]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range records {
		t.records = append(t.records, tailed{issuer.OffsetOf(r), r, chained, now})
		t.bytes += len(r)
	}
	for len(t.records) > 1 && (t.bytes > tailBytes || now.Sub(t.records[0].came) > tailFor) {
		oldest := &t.records[0]
		if t.bytes -= len(oldest.record); oldest.chained {
			t.base = oldest.offset
		}
		*oldest, t.records = tailed{}, t.records[1:]
	}
	t.tell()
}

// tell is for who holds mu.
func (t *tail) tell() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// next returns the first record after an offset, nil if there is none yet: then changed is closed once there may be. base above after
// says that a follower who is there has to read the log up to base first.
func (t *tail) next(after uint64) (r tailed, base uint64, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.records); i > 0 && t.records[i-1].offset > after; i-- {
		r = t.records[i-1]
	}
	return r, t.base, t.changed
}
