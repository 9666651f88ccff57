package report

import (
	"testing"

	"github.com/scanedge/scanedge/bench/load"
)

// A percentile is said from the very sample on that makes ten beyond it, and not one before.
func TestPercentilesNeedTenSamplesBeyond(t *testing.T) {
	for k, needs := range []int64{20, 1000, 10_000, 100_000} {
		for _, n := range []int64{needs - 1, needs} {
			p := percentiles(load.Summary{P50: 1, P99: 1, P999: 1, P9999: 1, Count: n})[k]
			if p.Known() != (n == needs) {
				t.Errorf("%s of %d samples is known: %v", p.name, n, p.Known())
			}
		}
	}
}

func TestPercentileInWords(t *testing.T) {
	for want, p := range map[string]percentile{
		"p99 12.3 ms (12.1–12.6)":   {"p99", 0.01, 12.34, 12.07, 12.55, 1000},
		"p99 0.123 ms (0.100–1.00)": {"p99", 0.01, 0.1234, 0.1, 1, 1000},
		"p50 1.20 s (0.900–2.00)":   {"p50", 0.5, 1200, 900, 2000, 1000},
		"p50 999 ms (990–1200)":     {"p50", 0.5, 999, 990, 1200, 1000},
		"p50 999 ms":                {"p50", 0.5, 999, 0, 0, 1000},
		"p99.9 too few":             {"p99.9", 0.001, 999, 990, 1200, 9000},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s := load.Summary{P50: 1, P99: 2, P999: 3, P9999: 4, Count: 1000}
	if got, want := times(s), "p50 1.00 ms  p99 2.00 ms  p99.9 too few"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
