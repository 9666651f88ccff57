// Package report says what came of a benchmark: to a person as text, to a script as JSON.
//
// Both are made from one [Report], so they can't differ. Validity comes before every figure: a reader who stops after the
// first line knows whether the rest may be believed.
package report

import (
	"runtime"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// Report is the outcome of one run. Its JSON names are a promise; more may join them.
type Report struct {
	Valid   bool     `json:"valid"`   // whether the run may be believed; a wrong answer does not make it invalid
	Reasons []string `json:"reasons"` // why not

	Planned  uint64                  `json:"planned"` // = sent + unsent
	Sent     uint64                  `json:"sent"`    // = the sum of the outcomes
	Unsent   uint64                  `json:"unsent"`
	Outcomes map[load.Outcome]uint64 `json:"outcomes"`
	Wrong    uint64                  `json:"wrong"` // answers that are not what they must be, the canaries' included
	Examples []load.Example          `json:"examples"`

	Latency       load.Summary `json:"latency_ms"`         // from the scheduled time to the answer
	Service       load.Summary `json:"service_ms"`         // from the sending to the answer
	Lateness      load.Summary `json:"lateness_ms"`        // from the scheduled time to the sending
	PushToVisible load.Summary `json:"push_to_visible_ms"` // from a push's start until the last edge shows it
	AckToVisible  load.Summary `json:"ack_to_visible_ms"`  // from its acknowledgement until then

	Seed     uint64    `json:"seed"`
	Visits   uint64    `json:"visits"`
	Duration float64   `json:"duration_s"` // of the schedule
	Rate     float64   `json:"rate"`       // planned visits per second
	Started  time.Time `json:"started"`
	Machine  Machine   `json:"machine"`
	Version  string    `json:"version"` // of scanedge
}

// Machine is where the load came from.
type Machine struct {
	Cores int    `json:"cores"` // that Go may use
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
}

// New makes the report of what load knows; the rest is for the caller to fill in. The run is valid when there are no reasons.
func New(r *load.Result, reasons []string) *Report {
	return &Report{
		Valid:    len(reasons) == 0,
		Reasons:  append([]string{}, reasons...), // [] in JSON, never null
		Planned:  r.Accounts.Planned,
		Sent:     r.Accounts.Sent,
		Unsent:   r.Accounts.Unsent,
		Outcomes: r.Accounts.Outcomes,
		Wrong:    r.Wrong,
		Examples: append([]load.Example{}, r.Examples...),
		Latency:  r.Latency.Summary(),
		Service:  r.Service.Summary(),
		Lateness: r.Lateness.Summary(),
		Visits:   r.Schedule.Visits,
		Duration: r.Schedule.Over.Seconds(),
		Rate:     r.Schedule.Rate(0),
		Started:  r.Started.UTC().Truncate(time.Second),
		Machine:  Machine{runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version()},
	}
}

// Exit codes of a benchmark. Usage takes 2.
const (
	ExitRight   = 0 // valid, and every answer right
	ExitWrong   = 1 // a wrong answer, valid or not
	ExitInvalid = 3 // no answer wrong, but the run may not be believed
)

// ExitCode returns the code that a command exits with. A wrong answer wins over an invalid run: however badly it was played,
// that answer was given.
func (r *Report) ExitCode() int {
	switch {
	case r.Wrong > 0:
		return ExitWrong
	case !r.Valid:
		return ExitInvalid
	}
	return ExitRight
}
