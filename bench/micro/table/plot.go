package table

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
)

// Plot draws the results of several sizes as SVG: bytes a subject beside nanoseconds a lookup, the floors dashed.
func Plot(w io.Writer, results []*Result) error {
	results = bySize(results)
	var c canvas
	c.open()
	c.panel(panel{
		left: 70, title: "bytes of resident memory a subject",
		lines: []line{
			{"table, loaded", blue, solid, func(r *Result) float64 { return r.BytesLoaded }},
			{"table, growing, at most", green, solid, func(r *Result) float64 { return r.BytesGrowingMax }},
			{"its floor: tag and record", blue, dashed, func(*Result) float64 { return 12 }},
			{"fastcache", orange, thin, func(r *Result) float64 { return r.Rivals["fastcache"].Bytes }},
			{"Go map", purple, thin, func(r *Result) float64 { return r.Rivals["map"].Bytes }},
			{"xsync.Map", brown, thin, func(r *Result) float64 { return r.Rivals["xsync"].Bytes }},
		},
	}, results)
	c.panel(panel{
		left: 560, title: "ns a lookup, one core, keys at random (logarithmic)", log: true,
		lines: []line{
			{"chain of lookups", blue, solid, func(r *Result) float64 { return r.Chain }},
			{"its floor: a chase over lines", blue, dashed, func(r *Result) float64 { return r.Chase }},
			{"stream of lookups", green, solid, func(r *Result) float64 { return r.Stream }},
			{"its floor: reads of lines", green, dashed, func(r *Result) float64 { return r.Lines }},
			{"lookups in batches", red, solid, func(r *Result) float64 { return r.Batch }},
			{"fastcache, stream", orange, thin, func(r *Result) float64 { return r.Rivals["fastcache"].Stream }},
			{"Go map, stream", purple, thin, func(r *Result) float64 { return r.Rivals["map"].Stream }},
			{"xsync.Map, stream", brown, thin, func(r *Result) float64 { return r.Rivals["xsync"].Stream }},
		},
	}, results)
	if len(results) > 0 {
		c.text(70, 565, "start", 12, "#555", results[0].Machine.String())
	}
	c.printf("</svg>\n")
	_, err := w.Write(c.Bytes())
	return err
}

// Colours that are told apart by those who see fewer of them (Okabe and Ito).
const (
	blue, green, red, orange = "#0072B2", "#009E73", "#D55E00", "#E69F00"
	purple, brown            = "#CC79A7", "#7F5F3F"
)

const (
	solid  = `stroke-width="2.5"`
	dashed = `stroke-width="2" stroke-dasharray="7 5"`
	thin   = `stroke-width="1.5"`
)

// line is one figure over the sizes; 0 was not measured.
type line struct {
	name, colour, stroke string
	of                   func(*Result) float64
}

type panel struct {
	left      float64
	title     string
	log       bool
	low, high float64 // of the vertical axis
	lines     []line
}

// The place of a panel's axes, from its left; the legend is below.
const (
	plotTop, plotBottom, plotWidth = 50.0, 400.0, 400.0
	legendTop, legendLine          = 460.0, 20.0
)

// canvas is an SVG that grows.
type canvas struct{ bytes.Buffer }

func (c *canvas) printf(format string, a ...any) { fmt.Fprintf(c, format, a...) }

func (c *canvas) open() {
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 580" font-family="Helvetica, Arial, sans-serif">` + "\n")
	c.printf(`<rect width="1000" height="580" fill="#ffffff"/>` + "\n")
}

func (c *canvas) text(x, y float64, anchor string, size int, colour, s string) {
	c.printf(`<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s">`, x, y, anchor, size, colour)
	_ = xml.EscapeText(c, []byte(s))
	c.printf("</text>\n")
}

func (c *canvas) segment(x1, y1, x2, y2 float64, colour, stroke string) {
	c.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" %s/>`+"\n", x1, y1, x2, y2, colour, stroke)
}

func (c *canvas) panel(p panel, results []*Result) {
	p.fit(results)
	c.text(p.left, plotTop-20, "start", 15, "#111", p.title)
	for _, v := range p.ticks() {
		c.segment(p.left, p.y(v), p.left+plotWidth, p.y(v), "#e4e4e4", thin)
		c.text(p.left-8, p.y(v)+4, "end", 12, "#333", fmt.Sprintf("%g", v))
	}
	x := across(results)
	for _, r := range results {
		at := p.left + x(float64(r.Subjects))
		c.segment(at, plotBottom, at, plotBottom+5, "#333", thin)
		c.text(at, plotBottom+20, "middle", 12, "#333", millions(float64(r.Subjects)))
	}
	c.segment(p.left, plotBottom, p.left+plotWidth, plotBottom, "#333", thin)
	c.text(p.left+plotWidth/2, plotBottom+40, "middle", 12, "#333", "subjects (logarithmic)")
	for i, l := range p.lines {
		c.line(p, l, results, x)
		at, row := p.left+float64(i%2)*plotWidth*0.52, legendTop+float64(i/2)*legendLine+10
		c.segment(at, row-4, at+30, row-4, l.colour, l.stroke)
		c.text(at+37, row, "start", 12, "#111", l.name)
	}
}

// line draws a figure where it was measured.
func (c *canvas) line(p panel, l line, results []*Result, x func(float64) float64) {
	var points bytes.Buffer
	for _, r := range results {
		if v := l.of(r); v > 0 {
			at, y := p.left+x(float64(r.Subjects)), p.y(v)
			fmt.Fprintf(&points, "%.1f,%.1f ", at, y)
			c.printf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", at, y, l.colour)
		}
	}
	c.printf(`<polyline points="%s" fill="none" stroke="%s" %s/>`+"\n", bytes.TrimSpace(points.Bytes()), l.colour, l.stroke)
}

// across maps sizes to a panel's width, with some room at both ends.
func across(results []*Result) func(float64) float64 {
	if len(results) == 0 {
		return func(float64) float64 { return 0 }
	}
	low, high := math.Log(float64(results[0].Subjects)), math.Log(float64(results[len(results)-1].Subjects))
	return func(n float64) float64 {
		if high == low {
			return plotWidth / 2
		}
		return plotWidth * (0.05 + 0.9*(math.Log(n)-low)/(high-low))
	}
}

// fit makes the vertical axis hold all points.
func (p *panel) fit(results []*Result) {
	least, most := math.Inf(1), 0.0
	for _, r := range results {
		for _, l := range p.lines {
			if v := l.of(r); v > 0 {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	if most == 0 {
		least, most = 1, 10
	}
	if p.log {
		p.low, p.high = roundDown(least), roundUp(most)
		return
	}
	p.high = 10 * math.Ceil(most*1.02/10)
}

func (p *panel) y(v float64) float64 {
	share := (v - p.low) / (p.high - p.low)
	if p.log {
		share = math.Log(v/p.low) / math.Log(p.high/p.low)
	}
	return plotBottom - share*(plotBottom-plotTop)
}

// ticks are the values that have a line across.
func (p *panel) ticks() (at []float64) {
	if !p.log {
		for v := 0.0; v <= p.high; v += 10 {
			at = append(at, v)
		}
		return at
	}
	for v := p.low; v <= p.high*1.01; v = roundUp(v * 1.01) {
		at = append(at, v)
	}
	return at
}

// roundUp is the next of 1, 2, 5, 10, 20, …
func roundUp(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*ten {
			return m * ten
		}
	}
	return 10 * ten
}

func roundDown(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if v >= m*ten {
			return m * ten
		}
	}
	return ten
}
