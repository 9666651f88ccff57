package load

import (
	"fmt"
	"slices"
	"time"
)

// MaxExamples is how many wrong answers a result keeps.
const MaxExamples = 5

// Result is what came of a run.
type Result struct {
	Schedule Schedule
	Started  time.Time
	Accounts Accounts
	Visits   uint64 // that the answers stand for
	Wrongs
	Failure     string // why the last visit failed that did
	Interrupted bool
	Unlogged    string // why a log is not whole

	Latency  *Timer // of each answer, from its scheduled time
	Service  *Timer // of each answer, from its sending
	Lateness *Timer // of each sending, from its scheduled time

	Ops       []OpResult   // those that visits were of
	Kinds     []KindResult // of connections, those that were used
	Rules     []RuleResult // of validity
	Processor Processor    // over the run

	// What rules judge by.
	pace            pace
	bursts          float64
	step            time.Duration
	under, underOff float64 // visits under way, as they were looked at
	took            time.Duration
	looked          bool // at processors
	unported        uint64
	overflowed      uint64 // connections that found the queue of a listener on this machine full
}

// OpResult is what came of the visits of one operation.
type OpResult struct {
	Name                       string
	Sent                       uint64
	Visits                     uint64 // that the answers stand for
	Wrong                      uint64
	Outcomes                   map[Outcome]uint64
	Latency, Service, Lateness *Timer
}

// KindResult is what went over a kind of connection.
type KindResult struct {
	Name    string
	Sent    uint64
	Visits  uint64 // that the answers stand for
	Dialled uint64 // attempts to connect
	Latency *Timer
}

// NewResult is the result of a run that has yet to send its first visit.
func NewResult(s Schedule) *Result {
	return &Result{
		Schedule: s,
		Started:  time.Now(),
		Accounts: Accounts{Planned: s.Visits(), Unsent: s.Visits(), Outcomes: map[Outcome]uint64{}},
		Latency:  NewTimer(),
		Service:  NewTimer(),
		Lateness: NewTimer(),
	}
}

// addShard adds what was counted at one place.
func (r *Result) addShard(s *shard, names []string) {
	if r.Ops == nil {
		for _, name := range names {
			r.Ops = append(r.Ops, OpResult{Name: name, Outcomes: map[Outcome]uint64{},
				Latency: NewTimer(), Service: NewTimer(), Lateness: NewTimer()})
		}
		for k := range Kind(kinds) {
			r.Kinds = append(r.Kinds, KindResult{Name: k.String(), Latency: NewTimer()})
		}
	}
	for i := range s.ops {
		r.Ops[i].add(&s.ops[i])
	}
	for k := range s.kinds {
		r.Kinds[k].add(&s.kinds[k])
	}
	r.Join(s.wrongs)
	r.unported += s.unported
	if s.failure != "" {
		r.Failure = s.failure
	}
}

func (o *OpResult) add(t *opTally) {
	for outcome, n := range t.outcomes {
		o.Outcomes[outcome] += n
		o.Sent += n
	}
	o.Visits, o.Wrong = o.Visits+t.visits, o.Wrong+t.wrong
	o.Latency.Merge(t.latency)
	o.Service.Merge(t.service)
	o.Lateness.Merge(t.lateness)
}

func (k *KindResult) add(t *kindTally) {
	k.Sent, k.Visits, k.Dialled = k.Sent+t.sent, k.Visits+t.visits, k.Dialled+t.dialled
	k.Latency.Merge(t.latency)
}

// closeOps makes the whole of its parts, and leaves out those that had no visits.
func (r *Result) closeOps() {
	for i := range r.Ops {
		o := &r.Ops[i]
		for outcome, n := range o.Outcomes {
			r.Accounts.Outcomes[outcome] += n
		}
		r.Visits += o.Visits
		r.Latency.Merge(o.Latency)
		r.Service.Merge(o.Service)
		r.Lateness.Merge(o.Lateness)
	}
	r.Ops = slices.DeleteFunc(r.Ops, func(o OpResult) bool { return o.Sent == 0 })
	r.Kinds = slices.DeleteFunc(r.Kinds, func(k KindResult) bool { return k.Sent == 0 })
}

// Wrongs are answers that are not what they must be.
type Wrongs struct {
	Wrong    uint64    // how many
	Examples []Example // the first of them, at most MaxExamples
}

// AddWrong counts a wrong answer and keeps it among the examples while there are few.
func (w *Wrongs) AddWrong(e Example) {
	w.Wrong++
	if len(w.Examples) < MaxExamples {
		w.Examples = append(w.Examples, e)
	}
}

// Join adds those of another, whose examples come first: they are the rarer ones.
func (w *Wrongs) Join(o Wrongs) {
	w.Wrong += o.Wrong
	w.Examples = slices.Concat(o.Examples, w.Examples)
	w.Examples = w.Examples[:min(len(w.Examples), MaxExamples)]
}

// Accounts say where every planned visit went.
type Accounts struct {
	Planned  uint64
	Sent     uint64
	Unsent   uint64
	Outcomes map[Outcome]uint64 // what came back, of those sent
}

// Answers returns the sum of the outcomes.
func (a Accounts) Answers() (sum uint64) {
	for _, n := range a.Outcomes {
		sum += n
	}
	return sum
}

// Check returns an error unless planned = sent + unsent and sent = the sum of the outcomes.
func (a Accounts) Check() error {
	if a.Planned != a.Sent+a.Unsent {
		return fmt.Errorf("%d visits planned, but %d sent and %d unsent", a.Planned, a.Sent, a.Unsent)
	}
	if sum := a.Answers(); a.Sent != sum {
		return fmt.Errorf("%d visits sent, but %d have an outcome", a.Sent, sum)
	}
	return nil
}
