package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"math"
)

// chart is an SVG with time from left to right, or with rows where it has none. Its colours are classes of the page's style.
type chart struct {
	bytes.Buffer
	width, height float64
	left          float64 // of the area within
	long          float64 // seconds that the area shows
	top           float64 // value at the area's top, unless it is of rows
}

// Room around the area of a chart: above it a legend, below it the time.
const (
	roomAbove, roomBelow, roomRight = 26.0, 24.0, 12.0
)

func newChart(width, height, left float64, label string) *chart {
	c := &chart{width: width, height: height, left: left}
	c.printf(`<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, html.EscapeString(label))
	return c
}

func (c *chart) printf(format string, a ...any) { fmt.Fprintf(c, format, a...) }

func (c *chart) done() template.HTML {
	c.printf("</svg>")
	return template.HTML(c.String())
}

func (c *chart) x(second float64) float64 {
	return c.left + second/c.long*(c.width-c.left-roomRight)
}

func (c *chart) y(v float64) float64 {
	return c.height - roomBelow - v/c.top*(c.height-roomAbove-roomBelow)
}

func (c *chart) text(x, y float64, anchor, s string) {
	c.printf(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
}

// times draws the axis of time.
func (c *chart) times(long float64) {
	c.long = long
	step := timeStep(long / math.Max(2, math.Floor((c.width-c.left)/90)))
	for t := 0.0; t <= long+1e-9; t += step {
		anchor := "middle"
		if c.x(t) > c.width-2*roomRight { // or half of it would be outside
			anchor = "end"
		}
		c.text(c.x(t), c.height-6, anchor, clock(t))
	}
}

// values draws lines at round values up to the highest.
func (c *chart) values(highest float64, unit string) {
	step := nice(math.Max(highest, 1e-9) / 4)
	c.top = step * math.Ceil(math.Max(highest, 1e-9)/step)
	for v := 0.0; v <= c.top+step/2; v += step {
		c.printf(`<path class="grid" d="M%.1f %.1fH%.1f"/>`, c.left, c.y(v), c.width-roomRight)
		c.text(c.left-6, c.y(v)+4, "end", short(v)+unit)
	}
}

// key names a colour, and returns where the next one goes.
func (c *chart) key(x float64, class, name string) float64 {
	c.printf(`<path class="%s" d="M%.1f 10h18"/>`, class, x)
	c.text(x+23, 14, "start", name)
	return x + 23 + 6.6*float64(len(name)) + 16
}

// line draws a value of each span, as steps: a second is a mean, not a moment. NaN is a gap.
func (c *chart) line(class string, all []span, of func(*span) float64) {
	c.printf(`<path class="%s" d="`, class)
	verb := "M"
	for i := range all {
		v := of(&all[i])
		if math.IsNaN(v) {
			verb = "M"
			continue
		}
		c.printf("%s%.1f %.1fH%.1f", verb, c.x(all[i].from), c.y(math.Min(v, c.top)), c.x(all[i].to))
		verb = "L"
	}
	c.printf(`"/>`)
}

// nice rounds up to 1, 2 or 5 times a power of ten.
func nice(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*1.0000001 {
			return m * power
		}
	}
	return 10 * power
}

// timeStep rounds seconds up to what a clock's face has.
func timeStep(least float64) float64 {
	for _, step := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200} {
		if least <= step {
			return step
		}
	}
	return 3 * 3600 * math.Ceil(least/(3*3600))
}

// short writes 23000 as 23k.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

// clock writes seconds as 75:30, or as 1:15:30 from two hours on.
func clock(second float64) string {
	s := int(second)
	if s >= 7200 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
