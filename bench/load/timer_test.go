package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A timer against the sorted list of all that it recorded.
func TestTimerAgainstSortedList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 10, 1000, 100_000} {
		timer, all := NewTimer(), make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(math.Exp(random.Float64()*16)) * time.Microsecond // 1 µs to 9 s
			timer.Record(all[i])
		}
		slices.Sort(all)
		at := func(share float64) float64 {
			return float64(all[int(math.Ceil(share*float64(n)))-1].Microseconds()) / 1000
		}
		got := timer.Summary()
		for _, c := range []struct{ got, want float64 }{
			{got.P50, at(0.5)}, {got.P99, at(0.99)}, {got.P999, at(0.999)}, {got.Max, at(1)},
		} {
			if math.Abs(c.got-c.want) > c.want/500+0.001 {
				t.Errorf("of %d: %v ms, want %v", n, c.got, c.want)
			}
		}
		if got.Count != int64(n) {
			t.Errorf("count %d, want %d", got.Count, n)
		}
	}
}

func TestTimerKeepsToItsRange(t *testing.T) {
	timer := NewTimer()
	timer.Record(-time.Second)
	timer.Record(time.Hour)
	if s := timer.Summary(); s.P50 != 0 || s.Max < 120_000 || s.Max > 121_000 || s.Count != 2 {
		t.Errorf("%+v", s)
	}
	timer.Reset()
	if s := timer.Summary(); s != (Summary{}) {
		t.Errorf("after Reset: %+v", s)
	}
}
