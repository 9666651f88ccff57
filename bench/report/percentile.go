package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/scanedge/scanedge/bench/load"
)

// percentile is one of a summary's, in milliseconds.
type percentile struct {
	name      string
	beyond    float64 // share of the samples that are longer
	ms        float64
	low, high float64 // what it lies between at 95 % confidence; zeros where that is not known
	samples   int64
}

func percentiles(s load.Summary) []percentile {
	return []percentile{
		{"p50", 0.5, s.P50, s.P50Low, s.P50High, s.Count},
		{"p99", 0.01, s.P99, s.P99Low, s.P99High, s.Count},
		{"p99.9", 0.001, s.P999, s.P999Low, s.P999High, s.Count},
		{"p99.99", 0.0001, s.P9999, s.P9999Low, s.P9999High, s.Count},
	}
}

// samplesBeyond is how many samples must be longer for a percentile to be worth saying; of fewer it is as good as chance.
const samplesBeyond = 10

// Known says whether there are as many samples as it needs.
func (p percentile) Known() bool { return float64(p.samples)*p.beyond > samplesBeyond-1e-6 }

// Value reads like "12.3 ms".
func (p percentile) Value() string {
	if !p.Known() {
		return "too few"
	}
	return millis(p.ms)
}

// Bounds reads like "12.1–12.6", in the unit of the value; it is empty where they are not known.
func (p percentile) Bounds() string {
	if !p.Known() || p.high == 0 {
		return ""
	}
	unit := 1.0
	if p.ms >= 1000 {
		unit = 1000
	}
	return digits(p.low/unit) + "–" + digits(p.high/unit)
}

// String reads like "p99 12.3 ms (12.1–12.6)".
func (p percentile) String() string {
	s := p.name + " " + p.Value()
	if b := p.Bounds(); b != "" {
		s += " (" + b + ")"
	}
	return s
}

// times reads like "p50 1.20 ms (1.10–1.30)  p99 too few"; those after the first that has too few samples are left out.
func times(s load.Summary) string {
	var all []string
	for _, p := range percentiles(s) {
		all = append(all, p.String())
		if !p.Known() {
			break
		}
	}
	return strings.Join(all, "  ")
}

// digits writes a figure to three digits, and never as a power of ten.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.9995 || v == 0:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// millis writes milliseconds as a person says them.
func millis(ms float64) string {
	if ms >= 1000 {
		return digits(ms/1000) + " s"
	}
	return digits(ms) + " ms"
}

// share writes 0.124 as "12.4 %".
func share(of float64) string { return fmt.Sprintf("%.3g %%", 100*of) }
