package report

import (
	"strings"
	"testing"

	"github.com/scanedge/scanedge/bench/load"
)

// kept is a report that keeps the default targets.
func kept() *Report {
	return &Report{
		Valid: true, Sent: 1000, Outcomes: map[load.Outcome]uint64{"green": 1000},
		Latency:       load.Summary{P99: 49.9, P999: 249, Count: 1000},
		PushToVisible: load.Summary{P99: 999, Count: 10},
	}
}

// Each target is missed by itself, at its limit too, and then it is the one that is named.
func TestSLOs(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Report)
		want  string
	}{
		"kept":           {func(*Report) {}, ""},
		"wrong":          {func(r *Report) { r.Wrong = 1 }, "FAIL  wrong answers 1, wanted 0"},
		"failed":         {func(r *Report) { r.Outcomes[load.Failed] = 1 }, "FAIL  share of errors 0.001, wanted under 1e-06"},
		"refused":        {func(r *Report) { r.Outcomes[load.Refused] = 2 }, "FAIL  share of errors 0.002, wanted under 1e-06"},
		"slow":           {func(r *Report) { r.Latency.P99 = 50 }, "FAIL  scheduled to answer p99 50.00 ms, wanted under 50 ms"},
		"a slow few":     {func(r *Report) { r.Latency.P999 = 251 }, "FAIL  scheduled to answer p99.9 251.00 ms, wanted under 250 ms"},
		"late to show":   {func(r *Report) { r.PushToVisible.P99 = 1000 }, "FAIL  push to visible p99 1000.00 ms, wanted under 1000 ms"},
		"nothing turned": {func(r *Report) { r.PushToVisible = load.Summary{} }, "FAIL  push to visible p99 not measured, wanted under 1000 ms"},
	} {
		r := kept()
		c.spoil(r)
		r.Conclude(&Run{Targets: DefaultTargets})
		var missed []string
		for _, s := range r.SLOs {
			if !s.Pass {
				missed = append(missed, s.String())
			}
		}
		if got := strings.Join(missed, "; "); got != c.want || len(r.SLOs) != 5 {
			t.Errorf("%s: missed %q, want %q (of %d)", name, got, c.want, len(r.SLOs))
		}
	}
}

// A run that sent nothing kept nothing, but for the wrong answers that it can't have had.
func TestNothingSentKeepsNoSLO(t *testing.T) {
	r := &Report{}
	r.Conclude(&Run{Targets: DefaultTargets})
	for _, s := range r.SLOs {
		if want := s.Name == "wrong answers"; s.Pass != want || (s.Got != nil) != want {
			t.Errorf("%v", s)
		}
	}
}
