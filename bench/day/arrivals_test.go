package day

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// city is a curve with every kind of stretch: none, flat, rising, and a spike.
var city = Curve{
	Points: []Point{{0, 0}, {2 * time.Hour, 0}, {6 * time.Hour, 1}, {8 * time.Hour, 5}, {9 * time.Hour, 1}, {20 * time.Hour, 1}},
	Spikes: []Spike{{At: 15 * time.Hour, Times: 10, Rise: 2 * time.Minute, Hold: 3 * time.Minute, Fall: 10 * time.Minute}},
}

// Due never decreases, DueBy is its inverse, and the total is exact, from one visit to more than a day has nanoseconds to tell apart.
func TestArrivalsInOrder(t *testing.T) {
	for _, visits := range []uint64{1, 2, 5, 1000, 200_000} {
		for _, over := range []time.Duration{time.Second, 1800 * time.Second, Day, 100 * time.Microsecond} {
			a := NewArrivals(visits, city, visits, over)
			if a.Visits() != visits || a.Over() != over || a.DueBy(over) != visits || a.DueBy(-1) != 0 {
				t.Fatalf("%v: %d visits, %d by its end", a, a.Visits(), a.DueBy(over))
			}
			last := time.Duration(0)
			for i := range visits {
				due := a.Due(i)
				if due < last || due >= over {
					t.Fatalf("%v: visit %d at %v follows one at %v", a, i, due, last)
				}
				if by := a.DueBy(due); by < i+1 {
					t.Fatalf("%v: visit %d is due at %v, but only %d by then", a, i, due, by)
				}
				if before := a.DueBy(due - 1); before > i {
					t.Fatalf("%v: visit %d is due at %v, but %d before that", a, i, due, before)
				}
				last = due
			}
		}
	}
}

// The whole day's 170 million: any of them has its place, found without the others.
func TestArrivalsOfAWholeDay(t *testing.T) {
	const visits = 170_000_000
	a := NewArrivals(1, city, visits, Day)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		i := r.Uint64N(visits - 1)
		due, next := a.Due(i), a.Due(i+1)
		if next < due || a.DueBy(due) < i+1 || a.DueBy(due-1) > i {
			t.Fatalf("visit %d at %v, the next at %v; %d by then", i, due, next, a.DueBy(due))
		}
	}
	if a.Visits() != visits || a.Due(visits-1) >= Day {
		t.Errorf("%v ends at %v", a, a.Due(visits-1))
	}
}

func TestArrivalsFollowFromTheSeed(t *testing.T) {
	one, again, other := NewArrivals(7, city, 5000, time.Minute), NewArrivals(7, city, 5000, time.Minute), NewArrivals(8, city, 5000, time.Minute)
	same := 0
	for i := range uint64(5000) {
		if one.Due(i) != again.Due(i) {
			t.Fatalf("visit %d at %v, then at %v", i, one.Due(i), again.Due(i))
		}
		if one.Due(i) == other.Due(i) {
			same++
		}
	}
	if same > 5 {
		t.Errorf("%d of 5000 visits come at the same time under another seed", same)
	}
}

// Counts follow the curve, and scatter about it as independent arrivals do: variance over expectation is 1, from hours down to
// milliseconds. A process that is spread evenly has 0, one in bursts far more.
func TestArrivalsScatterLikePoisson(t *testing.T) {
	const visits = 1_000_000
	flat := Curve{Points: []Point{{0, 1}}}
	a := NewArrivals(3, flat, visits, 1000*time.Second)
	for _, width := range []time.Duration{10 * time.Second, time.Second, 100 * time.Millisecond, 10 * time.Millisecond, 3 * time.Millisecond} {
		bins, sum := int(min(20_000, a.Over()/width)), 0.0
		want := a.Rate(0) * width.Seconds()
		for k := range bins {
			from := time.Duration(k) * width
			off := float64(a.DueBy(from+width-1)-a.DueBy(from-1)) - want
			sum += off * off / want
		}
		index := sum / float64(bins)
		if deviation := math.Sqrt(2 / float64(bins)); math.Abs(index-1) > 5*deviation+0.08 {
			t.Errorf("in bins of %v variance over mean is %.3f, want 1", width, index)
		}
	}
}

// The expected rates make the total, and an hour of the day has the day's own visits at their own times.
func TestArrivalsOfAnHour(t *testing.T) {
	const visits = 500_000
	a := NewArrivals(5, city, visits, Day)
	sum := 0.0
	for s := range binsPerDay {
		sum += a.Rate(time.Duration(s) * time.Second)
	}
	if math.Abs(sum-visits) > 1 || a.Rate(-1) != 0 || a.Rate(Day) != 0 {
		t.Errorf("rates make %f", sum)
	}
	rest := uint64(0)
	for h := range 24 {
		hour := a.Hour(time.Duration(h)*time.Hour, time.Duration(h+1)*time.Hour)
		if hour.First() != rest || hour.Over() != time.Hour {
			t.Fatalf("hour %d begins with visit %d, after %d; %v", h, hour.First(), rest, hour.Over())
		}
		for i := uint64(0); i < hour.Visits(); i += 97 {
			if got, want := hour.Due(i), a.Due(rest+i)-time.Duration(h)*time.Hour; got != want || hour.DueBy(got) < i+1 || hour.DueBy(got-1) > i {
				t.Fatalf("visit %d of hour %d is at %v, want %v", i, h, got, want)
			}
		}
		rest += hour.Visits()
	}
	if rest != visits {
		t.Errorf("the hours have %d visits", rest)
	}
}

// A spike is at Times the mean of the hour before when its rise is over, stays so, and is gone after its fall.
func TestSpike(t *testing.T) {
	with, base := city.mass(), Curve{Points: city.Points}.mass()
	at := 15 * 3600
	before := 0.0
	for _, m := range base[at-3600 : at] {
		before += m / 3600
	}
	for s, times := range map[int]float64{119: 10, 121: 10, 299: 10, 301: 10} {
		if got := with[at+s] / before; math.Abs(got-times) > 0.1 {
			t.Errorf("%d s after its begin the spike is %.2f times the hour before, want %v", s, got, times)
		}
	}
	if !slices.Equal(with[:at], base[:at]) || !slices.Equal(with[at+15*60:], base[at+15*60:]) {
		t.Error("the spike is more than a spike")
	}
}

func TestBinomial(t *testing.T) {
	for _, n := range []uint64{1, 7, 64, 65, 5000} {
		for _, p := range []float64{0.5, 0.1, 0.93} {
			const throws = 20_000
			sum, squares := 0.0, 0.0
			for k := range uint64(throws) {
				hits := float64(binomial(9, k, n, p))
				if hits < 0 || hits > float64(n) {
					t.Fatalf("%v of %d", hits, n)
				}
				sum += hits
				squares += hits * hits
			}
			mean := sum / throws
			variance := squares/throws - mean*mean
			want := float64(n) * p * (1 - p)
			if math.Abs(mean-float64(n)*p) > 5*math.Sqrt(want/throws) || math.Abs(variance/want-1) > 0.06+1/(12*want*10) {
				t.Errorf("n %d, p %v: mean %v, variance %v, want %v, %v", n, p, mean, variance, float64(n)*p, want)
			}
		}
	}
	if binomial(1, 1, 9, 0) != 0 || binomial(1, 1, 9, 1) != 9 || binomial(1, 1, 0, 0.5) != 0 {
		t.Error("what is certain is thrown")
	}
}

func BenchmarkDue(b *testing.B) {
	a := NewArrivals(1, city, 170_000_000, Day)
	for i := uint64(0); b.Loop(); i++ {
		_ = a.Due(i * 1009 % 170_000_000)
	}
}
