package report

import (
	"strings"
	"testing"

	"github.com/scanedge/scanedge/bench/load"
)

func TestDiff(t *testing.T) {
	a, b := sample(), sample("late")
	a.Ops = []Op{{Name: "upload", Latency: load.Summary{P50: 2, Count: 20}}, {Name: "gone", Latency: load.Summary{P50: 2, Count: 20}}}
	b.Ops = []Op{{Name: "upload", Latency: load.Summary{P50: 5, Count: 20}}}
	a.Kinds = []Kind{{Name: "lost", Latency: load.Summary{P50: 2, Count: 20}}, {Name: "kept", Latency: load.Summary{P50: 2, P99: 7, Max: 9, Count: 2000}}}
	b.Kinds = []Kind{{Name: "kept", Latency: load.Summary{P50: 3, P99: 7, Max: 9, Count: 20}}}
	a.Latency.Count, b.Latency.Count, b.PushToVisible.Count, a.VisitRate, b.VisitRate = 1000, 1000, 1000, 10, 20
	b.Seed, b.Latency.P99, b.Wrong, b.Outcomes = 8, 4, 0, map[load.Outcome]uint64{load.Refused: 3}
	var out strings.Builder
	if err := Diff(&out, "one", "two", a, b); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(out.String())
	flat := strings.Join(got, " ")
	for _, want := range []string{
		`not alike: the seed is "7" in one and "8" in the other one two ratio VALID INVALID planned 10 10 1.00`,
		"errors 0 3 - wrong 1 0 0.00", "latency p99 ms 8.00 4.00 0.50", "planned/s, peak 5 5 1.00", "upload p50 ms 2.00 5.00 2.50", "push to visible p50 ms 1.50 1.50 1.00",
		"over kept p50 ms 2.00 3.00 1.50 over kept max ms 9.00 9.00 1.00", "visits/s 10 20 2.00",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(flat, "gone") || strings.Contains(flat, "lost") || strings.Contains(flat, "visible p99") || strings.Contains(flat, "service") {
		t.Errorf("what was not measured twice is in\n%s", out.String())
	}
	if err := Diff(broken{}, "one", "two", a, b); err == nil {
		t.Error("the text was lost without an error")
	}
}
