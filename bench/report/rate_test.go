package report

import (
	"testing"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// crowd is a schedule whose third second has ten times as many requests as the others, which begin at midnight with few.
type crowd struct{ load.Constant }

func (crowd) DueBy(elapsed time.Duration) uint64 {
	sums := []uint64{0, 100, 200, 1200, 1300, 1300}
	return sums[min(5, max(0, int((elapsed+1)/time.Second)))]
}

func (crowd) Rate(time.Duration) float64 { return 1 }

// The rate that is reported is the day's mean and its peak, not what its first moment has.
func TestRateIsMeanAndPeak(t *testing.T) {
	for _, c := range []struct {
		schedule   load.Schedule
		mean, peak float64
	}{
		{crowd{load.Constant{N: 1300, For: 4 * time.Second}}, 325, 1000},
		{load.Constant{N: 30, For: 3 * time.Second}, 10, 10},
		{load.Constant{N: 25, For: 2500 * time.Millisecond}, 10, 10},
		{load.Constant{N: 5, For: 500 * time.Millisecond}, 10, 10},
	} {
		if r := New(load.NewResult(c.schedule), nil); r.Rate != c.mean || r.PeakRate != c.peak {
			t.Errorf("%v: mean %v, peak %v; want %v, %v", c.schedule, r.Rate, r.PeakRate, c.mean, c.peak)
		}
	}
}

// A line of the log that stands for two seconds, for the generator stood still, has half the rate.
func TestLoggedPeak(t *testing.T) {
	log := []load.Second{{Second: 0, Planned: 100}, {Second: 1, Planned: 300}, {Second: 3, Planned: 120}}
	if got := loggedPeak(log); got != 150 {
		t.Errorf("peak %v", got)
	}
}
