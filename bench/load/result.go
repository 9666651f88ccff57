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
