package edge

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Each duration lies in the bucket whose bounds hold it, and no bucket is wider than a sixteenth of what is in it.
func TestBuckets(t *testing.T) {
	check := func(d time.Duration) {
		b := bucketOf(d)
		if b < timeBuckets-1 && d > boundOf(b) || b > 0 && d <= boundOf(b-1) {
			t.Fatalf("%v is in bucket %d", d, b)
		}
	}
	for d := range time.Duration(1 << 17) {
		check(d)
	}
	for b := range timeBuckets - 1 {
		bound := boundOf(b)
		check(bound - 1)
		check(bound)
		check(bound + 1)
		if b > 0 && float64(bound-boundOf(b-1)) > float64(boundOf(b-1))/16 {
			t.Errorf("bucket %d is from %v to %v", b, boundOf(b-1), bound)
		}
	}
	for _, d := range []time.Duration{-time.Hour, -1, time.Hour, math.MaxInt64} {
		check(d)
	}
}

// Quantiles are those of the durations themselves, in order, and at most a sixteenth longer.
func TestQuantiles(t *testing.T) {
	if q := newClockwork().read().Quantile(0.5); q != 0 {
		t.Errorf("of none: %v", q)
	}
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		c, all := newClockwork(), make([]time.Duration, 1+r.IntN(2000))
		for i := range all {
			all[i] = time.Duration(math.Exp(r.Float64() * math.Log(1e9)))
			c.count(r.Uint64(), all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.9999, 1} {
			want := all[min(int(q*float64(len(all))), len(all)-1)]
			if got := c.read().Quantile(q); got < want || float64(got) > max(64, float64(want)*17/16) {
				t.Fatalf("seed %d: quantile %v of %d is %v, and was said to be %v", seed, q, len(all), want, got)
			}
		}
	}
}

// What many connections count at once is all there, and a reading is of what came after another one.
func TestTimesAreCountedOnce(t *testing.T) {
	c := newClockwork()
	c.count(0, time.Second)
	before := c.read()
	var wg sync.WaitGroup
	for conn := range uint64(8) {
		wg.Go(func() {
			for range 1000 {
				c.count(conn, time.Microsecond)
			}
		})
	}
	wg.Wait()
	if got := c.read().Since(before); got.Count() != 8000 || got.Sum != 8000*time.Microsecond || got.Quantile(1) > 2*time.Microsecond {
		t.Errorf("%d of %v in all, up to %v", got.Count(), got.Sum, got.Quantile(1))
	}
	if n := testing.AllocsPerRun(100, func() { c.count(1, time.Microsecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Scans and batches are counted apart, and shown as histograms whose buckets grow and end in their count.
func TestTimesAreShown(t *testing.T) {
	s := serving(t)
	conn := dial(t, s)
	for range 3 {
		ask(t, conn, "GET /v1/scan/demo-a:g", "", auth)
	}
	ask(t, conn, "POST /v1/scan", "demo-a:g\ndemo-a:g\n", auth)
	ask(t, conn, "GET /elsewhere", "", auth)
	var text bytes.Buffer
	s.set.WritePrometheus(&text)
	for name, want := range map[string]int{"scanedge_scan_seconds": 3, "scanedge_batch_seconds": 1} {
		last, bound, seen := -1, 0.0, 0
		for line := range strings.Lines(text.String()) {
			var le float64
			var n int
			if _, err := fmt.Sscanf(line, name+`_bucket{le="%g"} %d`, &le, &n); err != nil {
				continue
			}
			if le <= bound || n < last {
				t.Errorf("%safter %v %d", line, bound, last)
			}
			last, bound, seen = n, le, seen+1
		}
		if last != want || seen < 50 || !strings.Contains(text.String(), fmt.Sprintf("%s_bucket{le=\"+Inf\"} %d\n", name, want)) ||
			!strings.Contains(text.String(), fmt.Sprintf("%s_count %d\n", name, want)) {
			t.Errorf("%s: %d in %d buckets, want %d:\n%s", name, last, seen, want, &text)
		}
	}
	if !strings.Contains(text.String(), `scanedge_table_bytes{issuer="demo-b"} 0`) || strings.Contains(text.String(), `scanedge_table_fill{issuer="demo-a"} 0\n`) {
		t.Errorf("the tables' sizes: %s", &text)
	}
	if s.ScanTimes().Count() != 3 {
		t.Errorf("%d scans", s.ScanTimes().Count())
	}
}

func BenchmarkTimes(b *testing.B) {
	s := New(metrics.NewSet())
	for b.Loop() {
		s.scanTimes.count(1, time.Microsecond)
	}
}
