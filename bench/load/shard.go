package load

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// shard is one of the places where visits are counted. Safe for use by many goroutines, which are a few each.
type shard struct {
	mu       sync.Mutex
	ops      []opTally
	kinds    [kinds]kindTally
	second   *secondTally // since it was last taken
	wrongs   Wrongs
	failure  string // why the last visit failed that did
	unported uint64 // visits that failed for want of a local port

	every   uint64 // one in so many visits is a sample
	samples []vegeta.Result
}

// opTally is what became of one operation's visits.
type opTally struct {
	outcomes                   map[Outcome]uint64
	visits, wrong              uint64
	latency, service, lateness *Timer
}

type kindTally struct {
	sent, visits, dialled uint64
	latency               *Timer
}

func newShard(ops int, every uint64) *shard {
	return &shard{ops: make([]opTally, ops), second: newSecondTally(), every: every}
}

// dialled counts an attempt to open a connection.
func (s *shard) dialled(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[k].dialled++
}

// conclude judges the answer to a visit, or its failure, and counts what came of it.
func (e *engine) conclude(s *shard, f *flight, a *Answer, err error) {
	v := &f.visit
	due := e.Schedule.Due(v.Number)
	h := hit{op: v.Op, kind: v.Kind, weight: uint64(max(1, v.Weight)), lag: f.sent - due, failed: err != nil}
	switch {
	case err != nil:
		h.Outcome, err = Failed, fmt.Errorf("%s: %w", e.edges[v.Edge].Name, err)
	case a.Code == http.StatusTooManyRequests || a.Code == http.StatusServiceUnavailable:
		h.Outcome = Refused
	default:
		h.Judgement = e.Judge(v, a)
	}
	if err == nil {
		at := a.At.Sub(e.start)
		h.service, h.latency = at-f.sent, at-due
	}
	s.mu.Lock()
	s.count(&h)
	if err != nil {
		s.fail(err)
	}
	if v.Number%s.every == 0 {
		s.samples = append(s.samples, e.sample(f, a, err))
	}
	s.mu.Unlock()
	e.done.Add(1)
}

// hit is what came of a visit.
type hit struct {
	Judgement
	op                    int
	kind                  Kind
	weight                uint64
	lag, service, latency time.Duration
	failed                bool // then there is no service and no latency
}

func (s *shard) count(h *hit) {
	op, kind := &s.ops[h.op], &s.kinds[h.kind]
	if op.outcomes == nil {
		*op = opTally{outcomes: map[Outcome]uint64{}, latency: NewTimer(), service: NewTimer(), lateness: NewTimer()}
	}
	if kind.latency == nil {
		kind.latency = NewTimer()
	}
	op.outcomes[h.Outcome]++
	op.lateness.Record(h.lag)
	kind.sent++
	if !h.failed {
		op.visits += h.weight
		op.service.Record(h.service)
		op.latency.Record(h.latency)
		kind.visits += h.weight
		kind.latency.Record(h.latency)
	}
	if h.Wrong != nil {
		op.wrong++
		s.wrongs.AddWrong(*h.Wrong)
	}
	s.second.count(h)
}

func (s *shard) fail(err error) {
	s.failure = err.Error()
	if isPortless(err) {
		s.unported++
	}
}

// take returns what was counted since it was last called. The one that is given is counted into from now on.
func (s *shard) take(next *secondTally) (*secondTally, []vegeta.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, samples := s.second, s.samples
	s.second, s.samples = next, nil
	return t, samples
}
