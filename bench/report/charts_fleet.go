package report

import (
	"html/template"
	"maps"
	"math"
	"slices"

	"github.com/scanedge/scanedge/bench/load"
)

// half is the width of a chart that stands beside another.
const half = 450.0

// freshness shows how long pushes took until every edge showed them, by time; it is empty where none was timed.
func freshness(all []span, width float64) template.HTML {
	visible := func(s *span) float64 {
		if s.turns == 0 {
			return math.NaN()
		}
		return s.visible
	}
	top := highest(all, visible)
	if top == 0 {
		return ""
	}
	c := newChart(width, 200, axisRoom, "push to visible in milliseconds by time")
	c.values(top, "")
	c.times(long(all))
	c.line("line a", all, visible)
	c.key(c.left, "line a", "push to visible, p99 ms")
	return c.done()
}

// busy shows the processors of the machine that the load came from; it is empty where they were not looked at.
func busy(all []span, width float64) template.HTML {
	own := func(s *span) float64 { return 100 * s.processor.Own }
	machine := func(s *span) float64 { return 100 * s.processor.Machine }
	stolen := func(s *span) float64 { return 100 * s.processor.Stolen }
	top := max(highest(all, own), highest(all, machine), highest(all, stolen))
	if top == 0 {
		return ""
	}
	c := newChart(width, 200, axisRoom, "shares of the processors' time")
	c.values(top, " %")
	c.times(long(all))
	c.line("line a", all, machine)
	c.line("line b", all, own)
	c.line("line c", all, stolen)
	c.key(c.key(c.key(c.left, "line a", "machine"), "line b", "generator"), "line c", "stolen")
	return c.done()
}

// server is the charts of one process of the fleet.
type server struct {
	Name              string
	Processor, Memory figure
}

// servers draws those that the log names, in the order of their names.
func servers(seconds []load.Second) []server {
	named := map[string]bool{}
	for _, s := range seconds {
		for _, one := range s.Servers {
			named[one.Name] = true
		}
	}
	var all []server
	for _, name := range slices.Sorted(maps.Keys(named)) {
		of := func(what string, value func(load.Server) float64) figure {
			return figure{
				small(spans(seconds, 150), half, name, what, value), small(spans(seconds, 110), narrow, name, what, value),
			}
		}
		all = append(all, server{
			name,
			of("processors", func(s load.Server) float64 { return s.Processor }),
			of("memory in MB", func(s load.Server) float64 { return float64(s.Resident) / 1e6 }),
		})
	}
	return all
}

// small is a chart of one value of one server, with gaps where nothing is known of it: it may have been dead.
func small(all []span, width float64, name, what string, value func(load.Server) float64) template.HTML {
	of := func(s *span) float64 {
		one, there := s.servers[name]
		if !there {
			return math.NaN()
		}
		return value(one)
	}
	c := newChart(width, 130, axisRoom, what+" of "+name)
	c.values(highest(all, of), "")
	c.times(long(all))
	c.line("line a", all, of)
	c.key(c.left, "line a", what)
	return c.done()
}
