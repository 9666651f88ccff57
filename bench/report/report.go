// Package report says what came of a benchmark: to a person as text and as a page, to a script as JSON, to CI as JUnit.
//
// All are made from one [Report], so they can't differ. Validity comes before every figure: a reader who stops after the
// first line knows whether the rest may be believed.
//
// The folder of a run, in the order in which its files come to be:
//
//	run.json        what was asked ([Run]), before the first visit
//	seconds.ndjson  a line a second ([load.Second]), as it goes
//	report.json     the Report; its fields' comments are its schema, times are in milliseconds unless a name says otherwise
//	report.txt      the same, as it was printed
//	junit.xml       the same, each SLO and each rule of validity a test case
//	report.html     the same with the curves of latency, errors, freshness, processors and memory, one page that asks for nothing from elsewhere
//
// [Begin] makes the first, [Report.WriteFiles] the last four. A run that was killed leaves the first two, and [Read] makes its
// report from them. [Diff] sets two reports side by side.
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
	SLOs    []SLO    `json:"slos"`    // what was promised, and whether it was kept
	Killed  bool     `json:"killed"`  // made from the log of seconds: percentiles are at most what is said, nothing is by operation

	Mode         string `json:"mode"` // how the day was played, and what that shows
	Proves       string `json:"proves"`
	DoesNotProve string `json:"does_not_prove"`
	Scenario     string `json:"scenario"`

	Planned  uint64                  `json:"planned"` // = sent + unsent
	Sent     uint64                  `json:"sent"`    // = the sum of the outcomes
	Unsent   uint64                  `json:"unsent"`
	Outcomes map[load.Outcome]uint64 `json:"outcomes"`
	Wrong    uint64                  `json:"wrong"` // answers that are not what they must be, the canaries' included
	Examples []load.Example          `json:"examples"`
	Answered uint64                  `json:"answered_visits"` // that the answers stood for: one to an upload of 100 codes is 100

	Latency       load.Summary `json:"latency_ms"`         // from the scheduled time to the answer
	Service       load.Summary `json:"service_ms"`         // from the sending to the answer
	Lateness      load.Summary `json:"lateness_ms"`        // from the scheduled time to the sending
	PushToVisible load.Summary `json:"push_to_visible_ms"` // from a push's start until the last edge shows it
	AckToVisible  load.Summary `json:"ack_to_visible_ms"`  // from its acknowledgement until then
	Ops           []Op         `json:"ops"`                // by operation, those with requests
	Kinds         []Kind       `json:"kinds"`              // by kind of connection
	Rules         []Rule       `json:"rules"`              // of validity, kept or not
	Spikes        []Spike      `json:"spikes"`             // of the log of seconds

	Seed        uint64      `json:"seed"`
	Visits      uint64      `json:"visits"`       // the same as planned
	Duration    float64     `json:"duration_s"`   // of the schedule
	Rate        float64     `json:"rate"`         // planned requests a second, at the mean
	PeakRate    float64     `json:"peak_rate"`    // and in the second that has most of them
	VisitRate   float64     `json:"visits_per_s"` // answered_visits over the schedule's duration, or as much of it as was logged
	Started     time.Time   `json:"started"`
	Seconds     string      `json:"seconds"` // the file beside this one that has a line a second
	Machine     Machine     `json:"machine"`
	Processor   Processor   `json:"processor"`
	Environment Environment `json:"environment"`
	Version     string      `json:"version"` // of scanedge
}

// Processor is how busy the processors were that the load came from, over the run: shares of all their time, 0 to 1. Zeros are
// not known.
type Processor = load.Processor

// Machine is where the load came from; the rest of it is in [Environment].
type Machine struct {
	Cores int    `json:"cores"` // that Go may use
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
}

// Op is the part of a run that one operation has in it.
type Op struct {
	Name     string                  `json:"name"`
	Requests uint64                  `json:"requests"` // that were sent
	Visits   uint64                  `json:"visits"`   // that these stood for: an upload of 100 codes is 100 visits
	Wrong    uint64                  `json:"wrong"`
	Outcomes map[load.Outcome]uint64 `json:"outcomes"`
	Latency  load.Summary            `json:"latency_ms"`
	Service  load.Summary            `json:"service_ms"`
	Lateness load.Summary            `json:"lateness_ms"`
}

// Kind is the part of a run that went over one kind of connection.
type Kind struct {
	Name     string       `json:"name"`
	Requests uint64       `json:"requests"` // that were sent
	Visits   uint64       `json:"visits"`   // that these stood for
	Dialled  uint64       `json:"dialled"`  // connections
	Latency  load.Summary `json:"latency_ms"`
}

// Rule is one of those that a believable run keeps.
type Rule struct {
	Name     string `json:"name"`
	Kept     bool   `json:"kept"`
	Measured string `json:"measured"` // as "99.8 % of seconds"; "" where there is no figure
	Why      string `json:"why"`      // it was not kept; "" when it was
}

// New makes the report of what load knows; the rest is for the caller to fill in, and for [Report.Conclude]. The run is valid
// when there are no reasons.
func New(r *load.Result, reasons []string) *Report {
	rep := &Report{
		Valid:     len(reasons) == 0,
		Reasons:   append([]string{}, reasons...), // [] in JSON, never null
		SLOs:      []SLO{},
		Planned:   r.Accounts.Planned,
		Sent:      r.Accounts.Sent,
		Unsent:    r.Accounts.Unsent,
		Outcomes:  r.Accounts.Outcomes,
		Wrong:     r.Wrong,
		Examples:  append([]load.Example{}, r.Examples...),
		Answered:  r.Visits,
		Latency:   r.Latency.Summary(),
		Service:   r.Service.Summary(),
		Lateness:  r.Lateness.Summary(),
		Ops:       []Op{},
		Kinds:     []Kind{},
		Rules:     []Rule{},
		Spikes:    []Spike{},
		Visits:    r.Schedule.Visits(),
		Duration:  r.Schedule.Over().Seconds(),
		Started:   r.Started.UTC().Truncate(time.Second),
		Machine:   Machine{runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version()},
		Processor: r.Processor,
	}
	rep.PeakRate = peak(r.Schedule)
	rep.Rate, rep.VisitRate = float64(rep.Planned)/rep.Duration, float64(rep.Answered)/rep.Duration
	rep.parts(r)
	return rep
}

// parts fills in what is by operation, by kind of connection, and by rule.
func (r *Report) parts(from *load.Result) {
	for _, o := range from.Ops {
		r.Ops = append(r.Ops, Op{
			Name: o.Name, Requests: o.Sent, Visits: o.Visits, Wrong: o.Wrong, Outcomes: o.Outcomes,
			Latency: o.Latency.Summary(), Service: o.Service.Summary(), Lateness: o.Lateness.Summary(),
		})
	}
	for _, k := range from.Kinds {
		r.Kinds = append(r.Kinds, Kind{k.Name, k.Sent, k.Visits, k.Dialled, k.Latency.Summary()})
	}
	for _, rule := range from.Rules {
		r.Rules = append(r.Rules, Rule{rule.Name, rule.Broken == "", rule.Measured, rule.Broken})
	}
}

// Conclude adds what was asked, and holds the figures against its targets.
func (r *Report) Conclude(run *Run) {
	r.Mode, r.Scenario = run.Mode, run.Scenario
	r.Proves, r.DoesNotProve = shows(run.Mode)
	r.Seed, r.Version, r.Environment = run.Seed, run.Version, run.Environment
	r.Seconds = SecondsFile
	r.SLOs = r.judge(run.Targets)
}

// Exit codes of a benchmark. Usage takes 2.
const (
	ExitRight   = 0 // valid, every answer right, every SLO kept
	ExitWrong   = 1 // a wrong answer, valid or not; or valid, and an SLO not kept
	ExitInvalid = 3 // no answer wrong, but the run may not be believed
)

// ExitCode returns the code that a command exits with. A wrong answer wins over an invalid run: however badly it was played,
// that answer was given. An SLO that an invalid run did not keep says nothing.
func (r *Report) ExitCode() int {
	switch {
	case r.Wrong > 0:
		return ExitWrong
	case !r.Valid:
		return ExitInvalid
	}
	for _, s := range r.SLOs {
		if !s.Pass {
			return ExitWrong
		}
	}
	return ExitRight
}
