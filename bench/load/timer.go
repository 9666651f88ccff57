package load

import (
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Timer is a histogram of durations, from 1 µs to 2 minutes, right to a thousandth. What is shorter or longer counts as the
// nearest of these. Its size does not depend on how much it has recorded. One goroutine at a time.
type Timer struct{ h *hdrhistogram.Histogram }

const longest = 2 * time.Minute

// NewTimer makes an empty timer.
func NewTimer() *Timer {
	return &Timer{hdrhistogram.New(1, longest.Microseconds(), 3)}
}

// Record adds one duration.
func (t *Timer) Record(d time.Duration) {
	d = min(max(d, 0), longest)
	if err := t.h.RecordValue(d.Microseconds()); err != nil {
		panic(err) // only for values out of the range that the line above keeps
	}
}

// Reset forgets all.
func (t *Timer) Reset() { t.h.Reset() }

// Merge adds what another one has recorded. It may be nil.
func (t *Timer) Merge(o *Timer) {
	if o != nil {
		t.h.Merge(o.h)
	}
}

// Count returns how many durations were recorded.
func (t *Timer) Count() int64 { return t.h.TotalCount() }

// Mean returns their mean.
func (t *Timer) Mean() time.Duration {
	return time.Duration(t.h.Mean() * float64(time.Microsecond))
}

// Summary is what a timer has to say, in milliseconds. The bounds of a percentile are those between which it lies with 95 %
// confidence, by the ranks of a binomial distribution: they say what chance does, not what the machine's neighbours do.
type Summary struct {
	P50       float64 `json:"p50"`
	P50Low    float64 `json:"p50_low"`
	P50High   float64 `json:"p50_high"`
	P99       float64 `json:"p99"`
	P99Low    float64 `json:"p99_low"`
	P99High   float64 `json:"p99_high"`
	P999      float64 `json:"p999"`
	P999Low   float64 `json:"p999_low"`
	P999High  float64 `json:"p999_high"`
	P9999     float64 `json:"p9999"`
	P9999Low  float64 `json:"p9999_low"`
	P9999High float64 `json:"p9999_high"`
	Max       float64 `json:"max"`
	Count     int64   `json:"count"`
}

// Summary returns the percentiles of all that was recorded; zeros when that is nothing.
func (t *Timer) Summary() Summary {
	s := Summary{Max: float64(t.h.Max()) / 1000, Count: t.h.TotalCount()}
	var percents []float64
	for _, q := range [...]float64{0.5, 0.99, 0.999, 0.9999} {
		n := float64(max(1, s.Count))
		off := 1.96 * math.Sqrt(q*(1-q)/n)
		percents = append(percents, 100*q, 100*max(0, q-off), 100*min(1, q+off))
	}
	v := t.h.ValueAtPercentiles(slices.Clone(percents)) // which sorts them
	for i, to := range [...]*float64{&s.P50, &s.P50Low, &s.P50High, &s.P99, &s.P99Low, &s.P99High,
		&s.P999, &s.P999Low, &s.P999High, &s.P9999, &s.P9999Low, &s.P9999High} {
		*to = float64(v[percents[i]]) / 1000
	}
	return s
}
