package report

import (
	"fmt"
	"html/template"
	"math"

	"github.com/scanedge/scanedge/bench/load"
)

// Charts are made for a width: an SVG that is shrunk to a phone can't be read.
const (
	wide, narrow = 920.0, 340.0
	axisRoom     = 66.0
)

// long is where the axis of time ends.
func long(all []span) float64 { return math.Max(1, all[len(all)-1].to) }

func highest(all []span, of func(*span) float64) (top float64) {
	for i := range all {
		if v := of(&all[i]); !math.IsNaN(v) {
			top = math.Max(top, v)
		}
	}
	return top
}

// rates shows what was planned and what was answered.
func rates(all []span, width float64) template.HTML {
	planned := func(s *span) float64 { return s.rate(s.planned) }
	answered := func(s *span) float64 { return s.rate(s.answered) }
	c := newChart(width, 240, axisRoom, "requests a second, planned and answered")
	c.values(math.Max(highest(all, planned), highest(all, answered)), "")
	c.times(long(all))
	c.line("line a", all, answered)
	c.line("line plan", all, planned)
	c.key(c.key(c.left, "line plan", "planned"), "line a", "answered")
	return c.done()
}

// tails shows latency and lag by time.
func tails(all []span, width float64) template.HTML {
	p99 := func(s *span) float64 { return s.p99 }
	c := newChart(width, 220, axisRoom, "latency in milliseconds by time")
	c.values(math.Max(highest(all, p99), highest(all, func(s *span) float64 { return s.lag })), "")
	c.times(long(all))
	c.line("line c", all, func(s *span) float64 { return s.lag })
	c.line("line a", all, p99)
	c.line("line b", all, func(s *span) float64 { return s.p50 })
	c.key(c.key(c.key(c.left, "line a", "p99 ms"), "line b", "p50 ms"), "line c", "lag p99 ms")
	return c.done()
}

// heat shows how many answers took how long, by time. Its scale is logarithmic both ways: a tail is one in a thousand.
func heat(all []span, width float64) template.HTML {
	low, high := load.HeatBuckets, 0
	for i := range all {
		for bucket, n := range all[i].heat {
			if n > 0 {
				low, high = min(low, bucket), max(high, bucket)
			}
		}
	}
	if low > high {
		return ""
	}
	const row = 17.0
	c := newChart(width, roomAbove+roomBelow+row*float64(high-low+1), axisRoom, "answers by latency and time")
	c.times(long(all))
	for bucket := low; bucket <= high; bucket++ {
		y := roomAbove + row*float64(high-bucket)
		c.text(c.left-6, y+row/2+4, "end", bucketName(bucket))
		for i := range all {
			if n := all[i].heat[bucket]; n > 0 {
				x := c.x(all[i].from)
				c.printf(`<rect class="heat" x="%.1f" y="%.1f" width="%.1f" height="%g" fill-opacity="%.2f"/>`,
					x, y, c.x(all[i].to)-x+0.2, row-1, weight(n, &all[i]))
			}
		}
	}
	x := c.left
	for _, w := range []float64{0.15, 0.4, 0.7, 1} {
		c.printf(`<rect class="heat" x="%.1f" y="4" width="14" height="12" fill-opacity="%g"/>`, x, w)
		x += 15
	}
	c.text(x+6, 14, "start", "1 in 10,000 to all of its second")
	return c.done()
}

func bucketName(bucket int) string {
	if bucket == load.HeatBuckets-1 {
		return "slower"
	}
	return "<" + bound(heatBound(bucket))
}

// bound writes a power of two of a quarter of a millisecond.
func bound(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.3g s", ms/1000)
	}
	return fmt.Sprintf("%.3g ms", ms)
}

// weight is 1 for all of a span's answers, and less by a quarter for each tenth of them.
func weight(n uint64, s *span) float64 {
	var all uint64
	for _, m := range s.heat {
		all += m
	}
	return math.Max(0.12, 1+math.Log10(float64(n)/float64(all))*0.22)
}

// failures shows what went wrong by kind, stacked; it is empty when nothing did.
func failures(all []span, width float64) template.HTML {
	kinds := []struct {
		name, class string
		of          func(*span) float64
	}{
		{"wrong", "fill bad", func(s *span) float64 { return s.rate(s.wrong) }},
		{"failed", "fill b", func(s *span) float64 { return s.rate(s.failed) }},
		{"refused", "fill c", func(s *span) float64 { return s.rate(s.refused) }},
	}
	top := highest(all, func(s *span) float64 { return kinds[0].of(s) + kinds[1].of(s) + kinds[2].of(s) })
	if top == 0 {
		return ""
	}
	c := newChart(width, 200, axisRoom, "errors a second by kind")
	c.values(top, "")
	c.times(long(all))
	for i := range all {
		base, x := 0.0, c.x(all[i].from)
		for _, k := range kinds {
			if v := k.of(&all[i]); v > 0 {
				c.printf(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`,
					k.class, x, c.y(base+v), math.Max(1, c.x(all[i].to)-x-0.5), c.y(base)-c.y(base+v))
				base += v
			}
		}
	}
	x := c.left
	for _, k := range kinds {
		x = c.key(x, "line "+k.class[len("fill "):], k.name)
	}
	return c.done()
}
