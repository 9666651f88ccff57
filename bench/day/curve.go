package day

import (
	"cmp"
	"slices"
	"time"
)

// Day is how long a curve lasts.
const Day = 24 * time.Hour

// Curve is how busy a city is over a day: points with straight lines between them, from the last to the first over midnight, and
// spikes on top. Rates are relative to each other: how many visits they make is the schedule's.
type Curve struct {
	Points []Point // at least one, in the order of their times, none twice; not all of them at rate zero
	Spikes []Spike
}

// Point is a rate at a time of the day.
type Point struct {
	At   time.Duration // since midnight, before the next one
	Rate float64       // not below zero
}

// Spike is a sudden crowd: within Rise as many as Times the mean of the hour before, for Hold, and within Fall back to what the
// curve is without it.
type Spike struct {
	At               time.Duration // when it begins; it ends before midnight
	Times            float64       // 1 or more
	Rise, Hold, Fall time.Duration
}

// binsPerDay is how fine a curve is taken: by the second of its day.
const binsPerDay = int(Day / time.Second)

// mass returns how much of the day falls into each of its seconds, in no particular unit.
func (c Curve) mass() []float64 {
	base := make([]float64, binsPerDay)
	for s := range base {
		base[s] = c.at(time.Duration(s)*time.Second + time.Second/2)
	}
	all := slices.Clone(base)
	for _, spike := range c.Spikes {
		begin := int(spike.At / time.Second)
		hour := base[max(0, begin-3600):begin]
		before := base[0]
		if len(hour) > 0 {
			before = 0
			for _, m := range hour {
				before += m / float64(len(hour))
			}
		}
		for s := begin; s < binsPerDay; s++ {
			all[s] += spike.share(time.Duration(s-begin)*time.Second+time.Second/2) * max(0, spike.Times*before-base[s])
		}
	}
	return all
}

// at is the rate of the lines between the points.
func (c Curve) at(t time.Duration) float64 {
	k, _ := slices.BinarySearchFunc(c.Points, t, func(p Point, t time.Duration) int { return cmp.Compare(p.At, t) })
	last, next := c.Points[(k+len(c.Points)-1)%len(c.Points)], c.Points[k%len(c.Points)]
	if k == 0 {
		last.At -= Day
	}
	if k == len(c.Points) {
		next.At += Day
	}
	return last.Rate + (next.Rate-last.Rate)*float64(t-last.At)/float64(next.At-last.At)
}

// share is how much of the spike stands at a time after it began, from 0 to 1.
func (s Spike) share(t time.Duration) float64 {
	switch {
	case t < s.Rise:
		return float64(t) / float64(s.Rise)
	case t < s.Rise+s.Hold:
		return 1
	case t < s.Rise+s.Hold+s.Fall:
		return float64(s.Rise+s.Hold+s.Fall-t) / float64(s.Fall)
	}
	return 0
}
