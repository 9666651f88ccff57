package load

import (
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

// Summary is what a timer has to say, in milliseconds.
type Summary struct {
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	P9999 float64 `json:"p9999"`
	Max   float64 `json:"max"`
	Count int64   `json:"count"`

	// What the percentiles lie between at 95 % confidence; zeros where that is not known.
	P50Low    float64 `json:"p50_low"`
	P50High   float64 `json:"p50_high"`
	P99Low    float64 `json:"p99_low"`
	P99High   float64 `json:"p99_high"`
	P999Low   float64 `json:"p999_low"`
	P999High  float64 `json:"p999_high"`
	P9999Low  float64 `json:"p9999_low"`
	P9999High float64 `json:"p9999_high"`
}

// Summary returns the percentiles of all that was recorded; zeros when that is nothing.
func (t *Timer) Summary() Summary {
	at := func(percent float64) float64 { return float64(t.h.ValueAtPercentile(percent)) / 1000 }
	return Summary{P50: at(50), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: float64(t.h.Max()) / 1000, Count: t.h.TotalCount()}
}
