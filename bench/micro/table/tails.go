package table

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/scanedge/scanedge/cache"
)

// Tails are what single lookups cost, with all that happens to the process beside them: every nanosecond from the first to the
// last is in one of the samples.
type Tails struct {
	Empty   Tail `json:"empty"`   // the timing loop without a lookup
	AtRest  Tail `json:"at_rest"` // nobody writes
	Growing Tail `json:"growing"` // another processor puts subject after subject

	GrowingOverRest int64 `json:"growing_over_rest_p9999_ns"`
}

// Tail is a distribution, in nanoseconds.
type Tail struct {
	Samples int64 `json:"samples"`
	P50     int64 `json:"p50_ns"`
	P99     int64 `json:"p99_ns"`
	P999    int64 `json:"p999_ns"`
	P9999   int64 `json:"p9999_ns"`
	Max     int64 `json:"max_ns"`
}

// reader times one lookup after the other, on a processor of its own, of subjects that the writer has put.
type reader struct {
	table   *cache.Table
	present atomic.Uint64 // how many subjects are there

	empties, rests, grows *hdrhistogram.Histogram
	stop                  atomic.Bool
	missed                uint64 // lookups that did not find what was there
}

func newReader(subjects uint64) *reader {
	const longest = int64(100 * time.Second)
	r := &reader{
		table:   new(cache.Table),
		empties: hdrhistogram.New(1, longest, 3), rests: hdrhistogram.New(1, longest, 3), grows: hdrhistogram.New(1, longest, 3),
	}
	r.present.Store(subjects)
	return r
}

// tailTime is how long the loops run whose end is not given by the writer's.
func tailTime(slice time.Duration) time.Duration { return 20 * slice }

func (r *reader) empty(d time.Duration) {
	r.on(func() { r.time(nil, r.empties, d) })()
	r.present.Store(0)
}

func (r *reader) atRest(d time.Duration) { r.on(func() { r.time(r.table, r.rests, d) })() }

// growing starts to read. The function that it returns ends that.
func (r *reader) growing() (end func()) {
	wait := r.on(func() {
		for r.present.Load() == 0 && !r.stop.Load() {
		}
		r.time(r.table, r.grows, math.MaxInt64)
	})
	return func() {
		r.stop.Store(true)
		wait()
		r.stop.Store(false)
	}
}

// on runs f on the reader's processor and returns what waits for its end.
func (r *reader) on(f func()) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer pin(readerCore)()
		f()
	}()
	return func() { <-done }
}

// time looks up until d is over or it is stopped; without a table it does all but that. A sample reaches from clock reading to
// clock reading, so that nothing falls between two.
func (r *reader) time(t *cache.Table, h *hdrhistogram.Histogram, d time.Duration) {
	sum, began := uint64(0), time.Now()
	last := time.Duration(0)
	for i := uint64(0); last < d && !r.stop.Load(); i++ {
		k := keyOf(draw(mix(i), r.present.Load()))
		if t != nil {
			rec, ok := t.Lookup(k)
			if !ok {
				r.missed++
			}
			sum += uint64(rec)
		}
		sum += k.Lo
		now := time.Since(began)
		if h.RecordValue(int64(now-last)) != nil { // over 100 seconds: still no sample is dropped
			_ = h.RecordValue(h.HighestTrackableValue())
		}
		last = now
	}
	sink.Add(sum)
}

func (r *reader) tails() *Tails {
	t := &Tails{Empty: tailOf(r.empties), AtRest: tailOf(r.rests), Growing: tailOf(r.grows)}
	t.GrowingOverRest = t.Growing.P9999 - t.AtRest.P9999
	return t
}

func tailOf(h *hdrhistogram.Histogram) Tail {
	at := h.ValueAtQuantile
	return Tail{h.TotalCount(), at(50), at(99), at(99.9), at(99.99), h.Max()}
}
