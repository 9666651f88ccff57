package report

import (
	"fmt"

	"github.com/scanedge/scanedge/bench/load"
)

// Targets are what a fleet is held to. No answer may be wrong, whatever they say.
type Targets struct {
	Errors        float64 `json:"errors"`                 // share of the visits sent that may fail or be refused
	P99           float64 `json:"p99_ms"`                 // from the scheduled time to the answer
	P999          float64 `json:"p999_ms"`                // the same
	PushToVisible float64 `json:"push_to_visible_p99_ms"` // from a push's start until the last edge shows it
}

// DefaultTargets hold unless a scenario says otherwise.
var DefaultTargets = Targets{Errors: 1e-6, P99: 50, P999: 250, PushToVisible: 1000}

// SLO is one target and what was measured.
type SLO struct {
	Name string   `json:"name"`
	Want float64  `json:"want"` // what was measured must be under this; of wrong answers, none is wanted
	Got  *float64 `json:"got"`  // null when there was nothing to measure, and then it does not pass
	Unit string   `json:"unit"` // "ms", or "" for a number or share
	Pass bool     `json:"pass"`
}

// String reads like "PASS  scheduled to answer p99 12.30 ms, wanted under 50 ms".
func (s SLO) String() string {
	word := "FAIL"
	if s.Pass {
		word = "PASS"
	}
	return fmt.Sprintf("%s  %s %s, wanted %s", word, s.Name, s.Measured(), s.Wanted())
}

// Measured is what was measured, with its unit.
func (s SLO) Measured() string {
	if s.Got == nil {
		return "not measured"
	}
	if s.Unit == "" {
		return fmt.Sprintf("%.3g", *s.Got)
	}
	return fmt.Sprintf("%.2f %s", *s.Got, s.Unit)
}

// Wanted is what it must be, with its unit.
func (s SLO) Wanted() string {
	if s.Want == 0 {
		return "0"
	}
	if s.Unit == "" {
		return fmt.Sprintf("under %g", s.Want)
	}
	return fmt.Sprintf("under %g %s", s.Want, s.Unit)
}

// Names that are looked for.
const (
	wrongAnswers = "wrong answers"
	latencyP99   = "scheduled to answer p99"
)

// wanted is what the SLO of that name wants.
func (r *Report) wanted(name string) float64 {
	for _, s := range r.SLOs {
		if s.Name == name {
			return s.Want
		}
	}
	return DefaultTargets.P99
}

// judge holds the report's figures against the targets.
func (r *Report) judge(t Targets) []SLO {
	wrong := float64(r.Wrong)
	slos := []SLO{{Name: wrongAnswers, Got: &wrong, Pass: wrong == 0}}
	share := SLO{Name: "share of errors", Want: t.Errors}
	if r.Sent > 0 {
		got := float64(r.Outcomes[load.Failed]+r.Outcomes[load.Refused]) / float64(r.Sent)
		share.Got, share.Pass = &got, got < t.Errors || got == 0
	}
	return append(slos, share,
		under(latencyP99, t.P99, r.Latency.P99, r.Latency.Count),
		under("scheduled to answer p99.9", t.P999, r.Latency.P999, r.Latency.Count),
		under("push to visible p99", t.PushToVisible, r.PushToVisible.P99, r.PushToVisible.Count))
}

// under judges a percentile of so many samples. Of too few for it, it is the longest one: on the safe side.
func under(name string, want, got float64, samples int64) SLO {
	s := SLO{Name: name, Want: want, Unit: "ms"}
	if samples > 0 {
		s.Got, s.Pass = &got, got < want
	}
	return s
}
