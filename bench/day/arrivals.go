package day

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"sort"
	"time"
)

// Arrivals are when the visits of a day come: as people come who know nothing of each other (a Poisson process whose rate is the
// curve's), but so many in all as was asked for. When visit i is due follows from the seed and i alone.
//
// The total is split over the seconds of the curve's day by a tree of binomial throws, which is what independent arrivals of a
// known number are. Their counts are kept, 700 KB; below a second the tree goes on by halves, thrown anew whenever it is asked,
// until few are left to be spread. So Due and DueBy take some 20 steps, and memory does not grow with the visits.
type Arrivals struct {
	seed  uint64
	over  time.Duration // that the whole day takes
	sums  []uint64      // sums[b] of the day's visits come before its second b
	rates []float64     // a second, by second of the day

	first uint64        // the window that is played: its first visit,
	begin time.Duration // its begin,
	end   time.Duration // and its end, in what the day takes
}

// NewArrivals spreads visits over a day that takes as long as over says: where that is less than 24 hours, the curve is squeezed.
func NewArrivals(seed uint64, c Curve, visits uint64, over time.Duration) *Arrivals {
	a := &Arrivals{seed: seed, over: over, end: over, sums: make([]uint64, binsPerDay+1), rates: c.mass()}
	before := make([]float64, binsPerDay+1)
	for s, m := range a.rates {
		before[s+1] = before[s] + m
	}
	a.sums[binsPerDay] = visits
	a.split(before, 0, binsPerDay)
	scale := float64(visits) / before[binsPerDay] * float64(binsPerDay) / over.Seconds()
	for s := range a.rates {
		a.rates[s] *= scale
	}
	return a
}

// split throws which of the visits in the seconds from lo up to hi come in the first half of them.
func (a *Arrivals) split(before []float64, lo, hi int) {
	if hi-lo < 2 {
		return
	}
	mid, p := (lo+hi)/2, 0.0
	if all := before[hi] - before[lo]; all > 0 {
		p = (before[mid] - before[lo]) / all
	}
	a.sums[mid] = a.sums[lo] + binomial(a.seed, uint64(lo)<<32|uint64(hi), a.sums[hi]-a.sums[lo], p)
	a.split(before, lo, mid)
	a.split(before, mid, hi)
}

// Hour returns the arrivals of a part of the day alone, at their true times: visit 0 is the first one in it.
func (a *Arrivals) Hour(begin, end time.Duration) *Arrivals {
	part := *a
	part.begin, part.end, part.first = begin, end, 0
	part.first = a.dueBefore(begin)
	return &part
}

// First returns which visit of the day is the first one of these.
func (a *Arrivals) First() uint64 { return a.first }

// Visits returns how many there are.
func (a *Arrivals) Visits() uint64 { return a.dueBefore(a.end) - a.first }

// Over returns how long they take.
func (a *Arrivals) Over() time.Duration { return a.end - a.begin }

// Rate returns how many are expected a second, at a time after the start.
func (a *Arrivals) Rate(elapsed time.Duration) float64 {
	if elapsed < 0 || elapsed >= a.Over() {
		return 0
	}
	return a.rates[a.bin(elapsed+a.begin)]
}

// String reads like a formula.
func (a *Arrivals) String() string {
	if a.Over() < a.over {
		return fmt.Sprintf("%d visits, those of %v to %v of a day", a.Visits(), a.begin, a.end)
	}
	return fmt.Sprintf("%d visits, a day's curve in %v", a.Visits(), a.over)
}

// Due returns the time after the start at which visit i, from 0 up to Visits, is to be sent. It does not decrease.
func (a *Arrivals) Due(i uint64) time.Duration {
	i += a.first
	if i >= a.sums[binsPerDay] {
		return a.Over()
	}
	b := sort.Search(binsPerDay, func(b int) bool { return a.sums[b+1] > i })
	l := a.leaf(b)
	for i -= a.sums[b]; l.n > leafVisits && l.hi-l.lo > 1; {
		left, right := l.halves(a.seed)
		if i < left.n {
			l = left
		} else {
			i -= left.n
			l = right
		}
	}
	return l.due(a.seed, i) - a.begin
}

// DueBy returns how many visits are due at the given time after the start.
func (a *Arrivals) DueBy(elapsed time.Duration) uint64 {
	if elapsed < 0 {
		return 0
	}
	return a.dueBefore(min(a.begin+elapsed+1, a.end)) - a.first
}

// dueBefore returns how many visits of the day come before a time of it.
func (a *Arrivals) dueBefore(t time.Duration) uint64 {
	if t <= 0 {
		return 0
	}
	if t >= a.over {
		return a.sums[binsPerDay]
	}
	b := a.bin(t)
	l, sum := a.leaf(b), a.sums[b]
	for l.n > leafVisits && l.hi-l.lo > 1 {
		left, right := l.halves(a.seed)
		if t < left.hi {
			l = left
		} else {
			sum += left.n
			l = right
		}
	}
	k := sort.Search(int(l.n), func(k int) bool { return l.due(a.seed, uint64(k)) >= t })
	return sum + uint64(k)
}

// bin is the second of the curve's day that a time lies in.
func (a *Arrivals) bin(t time.Duration) int {
	b := int(scale(uint64(t), uint64(binsPerDay), uint64(a.over)))
	if b+1 < binsPerDay && a.start(b+1) <= t {
		b++ // start rounds down
	}
	return b
}

func (a *Arrivals) start(b int) time.Duration {
	return time.Duration(scale(uint64(b), uint64(a.over), uint64(binsPerDay)))
}

func (a *Arrivals) leaf(b int) leaf {
	return leaf{a.start(b), a.start(b + 1), a.sums[b+1] - a.sums[b], uint64(b)<<32 | 1}
}

// leafVisits is how many visits of a leaf are not told apart by halving it again.
const leafVisits = 1

// leaf is a stretch of the day with so many visits.
type leaf struct {
	lo, hi time.Duration
	n      uint64
	name   uint64 // in the tree
}

func (l leaf) halves(seed uint64) (left, right leaf) {
	mid := l.lo + (l.hi-l.lo)/2
	n := binomial(seed, ^l.name, l.n, 0.5)
	return leaf{l.lo, mid, n, l.name << 1}, leaf{mid, l.hi, l.n - n, l.name<<1 | 1}
}

// due spreads the leaf's visits: each somewhere in its own part of it.
func (l leaf) due(seed, k uint64) time.Duration {
	place := k<<32 | hash(seed, l.name, k)>>32
	return l.lo + time.Duration(scale(place, uint64(l.hi-l.lo), l.n<<32))
}

// scale is a · b / c, rounded down, where that is less than 1<<64.
func scale(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// fewThrows is up to how many throws are made one by one.
const fewThrows = 64

// binomial throws a coin n times that falls on p, and counts. The throws follow from seed and name. Many of them are thrown at once, by the
// normal distribution.
func binomial(seed, name, n uint64, p float64) uint64 {
	switch {
	case p <= 0 || n == 0:
		return 0
	case p >= 1:
		return n
	case n <= fewThrows && p == 0.5:
		return uint64(bits.OnesCount64(hash(seed, name, n) >> (64 - n)))
	}
	pcg := rand.NewPCG(seed, name)
	if n <= fewThrows {
		hits := uint64(0)
		for range n {
			if unit(pcg.Uint64()) < p {
				hits++
			}
		}
		return hits
	}
	mean := float64(n) * p
	normal := math.Sqrt(-2*math.Log(unit(pcg.Uint64()))) * math.Cos(2*math.Pi*unit(pcg.Uint64()))
	return uint64(min(float64(n), max(0, math.Round(mean+normal*math.Sqrt(mean*(1-p))))))
}

// unit makes a number over 0 and under 1 of random bits.
func unit(bits uint64) float64 { return (float64(bits>>11) + 0.5) / (1 << 53) }

// hash mixes three numbers, as splitmix64 ends (Steele, Lea and Flood, 2014).
func hash(a, b, c uint64) uint64 {
	x := a
	for _, y := range [...]uint64{b, c} {
		x = (x + 0x9e3779b97f4a7c15) ^ y
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}
