// Package edge answers scans: a code in, a verdict out, from memory.
//
//   - edge.go: [Server], what an edge holds and whom it answers
//   - scan.go: GET /v1/scan/{code}, the hot path
//   - asker.go: who asks, and what he may
//   - judge.go: a code in, a verdict out; outcome.go: what it can end in, and the counters of that
//   - remember.go: what may be forgotten of codes: verified signatures, and which rolling codes were seen (marks.go)
//   - limits.go: who is refused, and what becomes of who collects bad codes; forwarded.go: whose address it is
//   - batch.go: POST /v1/scan, many codes, a line each; ndjson.go: lines that are JSON
//   - answer.go: verdicts and problems as bytes
//   - time.go: how long requests take in here
//   - serve.go: the fasthttp server around them
//   - door.go, body.go, overload.go: what protects it from too many connections, bytes and requests
//   - cors.go: what lets pages scan
//
// A scan takes one direction: code -> parse -> key -> one lookup -> verdict. It allocates nothing and waits for nobody: what
// it reads is published whole, behind atomic pointers, by whoever follows the log. The package knows neither the log nor the
// origin; tables, vouches and keys are given to it.
//
// A scan loads an issuer's [Vouch] once, after its request was read, and answers from that alone, so offset, age and table in
// one answer belong together.
package edge

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/cache/memo"
	"github.com/scanedge/scanedge/edge/limit"
	"github.com/scanedge/scanedge/edge/passcode"
)

// Lease is the age past which an edge no longer vouches for its table and marks its answers stale.
const Lease = scanedge.Lease

// Vouch is what an edge can say of one issuer at a moment. It must not change once given to the Server, but for the table,
// which its one writer goes on changing.
type Vouch struct {
	Seed     cache.Seed
	Table    *cache.Table
	Offset   uint64        // the table holds every batch up to here
	Beat     time.Time     // when the beat was made that the table last agreed with; a monotonic reading, so that no clock can be set back
	MaxStale time.Duration // the age past which nothing is answered; what is less than the lease means as soon as answers are stale
	PlainOff bool          // plain codes are refused

	Codes   *passcode.Keyring // what rolling and signed codes are checked with; nil: all are forged
	Suspect bool              // the table is known to be wrong or half made: its answers are stale whatever their age

	tail []byte // of its verdicts, up to the age; made by Publish
}

// Server is the edge. All its methods are safe for concurrent use; the zero Server is not ready, use New.
type Server struct {
	held atomic.Pointer[map[string]*held] // nil until Hold

	caughtUp atomic.Bool // each table of those held had, at one time
	draining atomic.Bool // see Drain
	keys     atomic.Pointer[func([]byte, time.Time) (limit.Caller, bool)]
	set      *metrics.Set
	now      func(earlier time.Time) time.Time // the time, given a reading of the clock from this request: reckon, but in tests

	seen       *marks     // of rolling codes that were shown
	signatures *memo.Memo // nil until Remember
	skews      skews

	scanTimes, batchTimes *clockwork
	batches               batches

	guests   *Guests // nil: they are not limited
	limited  limited
	born     time.Time // limits count time from here
	cors     *cors     // nil unless pages of other origins may scan
	bodies   bodies
	overload *overload
	shedBy   map[string]*metrics.Counter // requests and connections that were too many, by the reason

	elsewhere counts // of scans that name no issuer which is held

	mu  sync.Mutex         // guards own
	own map[string]*counts // of every issuer that was ever held
}

// held is one issuer at this edge.
type held struct {
	issuer string
	prefix string // of the issuer's plain codes
	begin  string // of its verdicts, up to the status
	counts *counts
	vouch  atomic.Pointer[Vouch] // nil until the table has caught up
}

// New returns a server that holds nothing and admits nobody yet. Its metrics go to set.
func New(set *metrics.Set) *Server {
	s := &Server{
		set: set, now: reckon, seen: new(marks), skews: newSkews(set), elsewhere: newCounts(set, ""), own: map[string]*counts{},
		limited: newLimited(set), born: time.Now(),
		scanTimes: newClockwork(), batchTimes: newClockwork(),
		overload: newOverload(), shedBy: map[string]*metrics.Counter{},
	}
	for _, reason := range []string{"queue", "bodies", "connections", "address"} {
		s.shedBy[reason] = set.NewCounter(fmt.Sprintf("scanedge_shed_total{reason=%q}", reason))
	}
	set.RegisterMetricsWriter(func(w io.Writer) {
		s.scanTimes.write(w, "scanedge_scan_seconds")
		s.batchTimes.write(w, "scanedge_batch_seconds")
		s.writeMemos(w)
	})
	return s
}

// reckon reads the clock by how long ago it was read before: that costs half as much.
func reckon(earlier time.Time) time.Time { return earlier.Add(time.Since(earlier)) }

// Scans returns how many scans were answered since New, those of a batch each, refused ones included.
func (s *Server) Scans() uint64 {
	n := s.elsewhere.sum()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.own {
		n += c.sum()
	}
	return n
}

// countsOf returns the counters of an issuer, the same ones when it is held anew.
func (s *Server) countsOf(issuer string) *counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.own[issuer]
	if c == nil {
		fresh := newCounts(s.set, issuer)
		c = &fresh
		s.own[issuer] = c
	}
	return c
}

// Hold says which issuers this edge answers for. What it held before of an issuer, it keeps. One caller at a time.
func (s *Server) Hold(issuers []string) {
	before := s.holdings()
	now := make(map[string]*held, len(issuers))
	for _, id := range issuers {
		h := before[id]
		if h == nil {
			h = &held{issuer: id, prefix: id + ":", begin: `{"issuer":"` + id + `","status":"`, counts: s.countsOf(id)}
			s.gauges(h)
		}
		now[id] = h
	}
	s.held.Store(&now)
}

// Held returns the issuers that this edge answers for, in order.
func (s *Server) Held() []string { return slices.Sorted(maps.Keys(s.holdings())) }

// Publish puts v in the place of what the edge said of the issuer before. It does nothing for an issuer that is not held.
func (s *Server) Publish(issuer string, v Vouch) {
	all := s.holdings()
	h := all[issuer]
	if h == nil {
		return
	}
	v.tail = strconv.AppendUint([]byte(`,"offset":`), v.Offset, 10)
	v.tail = append(v.tail, `,"age_ms":`...)
	if h.vouch.Swap(&v) != nil || s.caughtUp.Load() {
		return
	}
	for _, h := range all {
		if h.vouch.Load() == nil {
			return
		}
	}
	s.caughtUp.Store(true)
}

// Admit sets who may scan: known is asked with the key of each request, which it must not keep, and the request's time, and says who that
// is to be limited as.
func (s *Server) Admit(known func(key []byte, at time.Time) (limit.Caller, bool)) {
	s.keys.Store(&known)
}

// Drain makes each answer the last one on its connection, which says so (`Connection: close`), until it is called with false. The
// listeners are the caller's to close. A connection on which nothing is asked stays as it is: who closed it could lose a request that is
// on its way.
func (s *Server) Drain(on bool) { s.draining.Store(on) }

// Unready says why this edge is not ready, or "" if it is: it does not drain, holds issuers, each table has caught up, and none has become too stale
// to be answered from. Once all have, an issuer that is added does not count until its table has: or a new issuer would take all edges
// out of a load balancer at once.
func (s *Server) Unready() string {
	all := s.holdings()
	if s.draining.Load() {
		return "stopping: scans under way are finished, new ones are for other edges"
	}
	if len(all) == 0 {
		return "waiting for the origin to say what to hold"
	}
	var why []string
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if v := all[id].vouch.Load(); v == nil {
			if !s.caughtUp.Load() {
				why = append(why, "not caught up: "+id)
			}
		} else if now := time.Now(); v.tooStale(now) {
			why = append(why, fmt.Sprintf("too stale: %s, whose table last agreed with the origin %v ago", id, now.Sub(v.Beat).Round(time.Second)))
		}
	}
	return strings.Join(why, "; ")
}

func (s *Server) holdings() map[string]*held {
	if m := s.held.Load(); m != nil {
		return *m
	}
	return nil
}

// gauges shows an issuer's state in the metrics, zeros until its table has caught up.
func (s *Server) gauges(h *held) {
	gauge := func(name string, value func(v *Vouch) float64) {
		s.set.GetOrCreateGauge(fmt.Sprintf("%s{issuer=%q}", name, h.issuer), func() float64 {
			if v := h.vouch.Load(); v != nil {
				return value(v)
			}
			return 0
		})
	}
	gauge("scanedge_offset", func(v *Vouch) float64 { return float64(v.Offset) })
	gauge("scanedge_subjects", func(v *Vouch) float64 { return float64(v.Table.Len()) })
	gauge("scanedge_table_bytes", func(v *Vouch) float64 { _, bytes := v.Table.Room(); return float64(bytes) })
	gauge("scanedge_table_fill", func(v *Vouch) float64 {
		slots, _ := v.Table.Room()
		return float64(v.Table.Len()) / float64(max(slots, 1))
	})
	gauge("scanedge_age_ms", func(v *Vouch) float64 { return float64(v.ageMS(time.Now())) })
	gauge("scanedge_vouching", func(v *Vouch) float64 {
		if v.stale(time.Now()) {
			return 0
		}
		return 1
	})
}

// ageMS is the vouch's age in milliseconds, by a clock that was read after the vouch was loaded.
func (v *Vouch) ageMS(now time.Time) int64 { return max(0, now.Sub(v.Beat).Milliseconds()) }

// stale reports whether the edge does not vouch for what the table says.
func (v *Vouch) stale(now time.Time) bool { return v.staleAt(v.ageMS(now)) }

func (v *Vouch) staleAt(ageMS int64) bool { return v.Suspect || ageMS > Lease.Milliseconds() }

// tooStale reports whether the edge does not even say it.
func (v *Vouch) tooStale(now time.Time) bool { return v.tooStaleAt(v.ageMS(now)) }

func (v *Vouch) tooStaleAt(ageMS int64) bool {
	return v.staleAt(ageMS) && ageMS >= v.MaxStale.Milliseconds()
}
