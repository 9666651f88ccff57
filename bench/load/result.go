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
	Wrongs
	Failure     string // why the last visit failed that did
	Interrupted bool
	Unlogged    string // why the log of seconds is not whole

	Latency  *Timer // of each answer, from its scheduled time
	Service  *Timer // of each answer, from its sending
	Lateness *Timer // of each sending, from its scheduled time

	Ops       []OpResult   // by operation, those with Sent > 0
	Kinds     []KindResult // by kind of connection
	Rules     []RuleResult // every rule of validity, kept or not
	Visits    uint64       // that answers stood for
	Processor Processor    // over the run
}

// OpResult is the part of a run that one operation has in it.
type OpResult struct {
	Name                       string
	Sent, Visits, Wrong        uint64
	Outcomes                   map[Outcome]uint64
	Latency, Service, Lateness *Timer
}

// KindResult is the part of a run that went over one kind of connection.
type KindResult struct {
	Name                  string
	Sent, Visits, Dialled uint64
	Latency               *Timer
}

// RuleResult is a rule of validity, and whether it was kept.
type RuleResult struct {
	Name     string
	Broken   string // why, as a sentence; "" when it was kept
	Measured string // as "99.8 % of seconds"
}

// Processor is how busy all processors of a machine were: shares of their time, 0 to 1.
type Processor struct {
	Own     float64 `json:"own"`     // by the load's generator
	Machine float64 `json:"machine"` // by all that runs there, this included
	Stolen  float64 `json:"stolen"`  // by the machine's host
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
