package day

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// countingEdge is what an edge shows of itself.
type countingEdge map[string]float64

func newCountingEdge() countingEdge {
	e := countingEdge{"process_start_time_seconds": 1, "scanedge_batch_seconds_count": 9}
	for _, issuer := range []string{"", "demo-a"} {
		for _, word := range []string{"green", "red", "unknown-subject", "behind"} {
			e[fmt.Sprintf("scanedge_scans_total{issuer=%q,outcome=%q}", issuer, word)] = 100
		}
	}
	return e
}

func (e countingEdge) scanned(word string, n float64) {
	e[fmt.Sprintf(`scanedge_scans_total{issuer="demo-a",outcome=%q}`, word)] += n
}

func (e countingEdge) read(context.Context, string) (map[string]float64, error) {
	return maps.Clone(map[string]float64(e)), nil
}

// played is a load of which a right edge counts 3 green, 1 red and 1 unknown: visits, an upload, canaries, and one without an answer.
func played(t *testing.T, edge countingEdge) *counters {
	t.Helper()
	c := newCounters([]load.Edge{{Name: "edge-1"}}, []Process{{"origin", "http://o"}, {"edge-1", "http://e"}}, edge.read)
	c.begin(t.Context())
	c.ask(0, 1)
	c.answer(0, []byte(`{"issuer":"demo-a","status":"green","offset":7}`), false)
	c.ask(0, 1)
	c.answer(0, []byte(`{"type":"unknown-subject","title":"no such","status":404}`), false)
	c.ask(0, 2)
	c.answer(0, []byte("{\"issuer\":\"demo-a\",\"status\":\"green\",\"offset\":7}\n{\"issuer\":\"demo-a\",\"status\":\"red\",\"offset\":7}\n"), true)
	canary := c.scan(0, func(context.Context, string) (scanedge.Verdict, error) { return scanedge.Verdict{Status: "green"}, nil })
	if _, err := canary(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	c.ask(0, 1)
	edge.scanned("green", 3)
	edge.scanned("red", 1)
	edge.scanned("unknown-subject", 1)
	return c
}

// What the edge has counted must be what the run has seen of it, by outcome; of what got no answer it may have counted any.
func TestEdgesCountersAgree(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(countingEdge)
		want  string
	}{
		"right":               {func(countingEdge) {}, ""},
		"counts the lost one": {func(e countingEdge) { e.scanned("red", 1) }, ""},
		"one too few":         {func(e countingEdge) { e.scanned("red", -1) }, "edge-1 counted 0 scans as red, and 1 were answered so"},
		"two too many":        {func(e countingEdge) { e.scanned("red", 2) }, "edge-1 counted 3 scans as red, and 1 were answered so: somebody else asks it"},
		"one of each too many": {func(e countingEdge) { e.scanned("red", 1); e.scanned("green", 1) },
			"edge-1 counted 7 scans, and 6 were sent to it"},
		"restarted": {func(e countingEdge) { e["process_start_time_seconds"]++ }, "edge-1 was restarted"},
		"fell":      {func(e countingEdge) { e.scanned("behind", -1) }, "edge-1 was restarted"},
	} {
		t.Run(name, func(t *testing.T) {
			edge := newCountingEdge()
			counters := played(t, edge)
			c.spoil(edge)
			r := counters.rule(t.Context())
			if (r.Broken == "") != (c.want == "") || !strings.HasPrefix(r.Broken, c.want) {
				t.Errorf("broken %q, want %q", r.Broken, c.want)
			}
			if c.want == "" && !strings.HasPrefix(r.Measured, "edge-1 ") {
				t.Errorf("measured %q", r.Measured)
			}
		})
	}
}

// A refusal that no edge counts as a scan, and one that the client says by itself, may have been counted or not.
func TestCanaryScansThatMayCount(t *testing.T) {
	edge := newCountingEdge()
	c := played(t, edge)
	for _, err := range []error{
		scanedge.NewProblem(scanedge.Overloaded, ""), scanedge.NewProblem(scanedge.Behind, ""), errors.New("connection refused"),
	} {
		scan := c.scan(0, func(context.Context, string) (v scanedge.Verdict, _ error) { return v, err })
		if _, got := scan(t.Context(), "x"); got != err {
			t.Fatal(got)
		}
	}
	if r := c.rule(t.Context()); r.Broken != "" {
		t.Error(r.Broken)
	}
	edge.scanned("green", 4)
	if r := c.rule(t.Context()); r.Broken != "" {
		t.Error(r.Broken)
	}
	edge.scanned("green", 1)
	if r := c.rule(t.Context()); r.Broken == "" {
		t.Error("one more than was sent is not seen")
	}
}

// Where an edge's admin listener is not known nothing is compared, and that is no fault; where it does not answer it is one.
func TestEdgesThatAreNotLookedAt(t *testing.T) {
	edges := []load.Edge{{Name: "edge-1"}, {Name: "edge-2"}}
	c := newCounters(edges, []Process{{"edge-2", ""}}, newCountingEdge().read)
	c.begin(t.Context())
	c.ask(1, 1)
	c.answer(1, []byte(`{"status":"green"}`), false)
	if r := c.rule(t.Context()); r.Broken != "" || r.Measured != "edge-1 not looked at, edge-2 not looked at" {
		t.Errorf("%+v", r)
	}
	edge, cut := newCountingEdge(), errors.New("cut")
	silent := func(context.Context, string) (map[string]float64, error) { return nil, cut }
	c = newCounters(edges[:1], []Process{{"edge-1", "http://e"}}, silent)
	c.begin(t.Context())
	if r := c.rule(t.Context()); r.Broken != "" || r.Measured != "edge-1 not looked at" {
		t.Errorf("nothing was asked: %+v", r)
	}
	c.ask(0, 1)
	if r := c.rule(t.Context()); !strings.Contains(r.Broken, "could not be read at http://e: cut") {
		t.Errorf("%+v", r)
	}
	c = newCounters(edges[:1], []Process{{"edge-1", "http://e"}}, edge.read)
	c.begin(t.Context())
	c.ask(0, 1)
	c.read = silent
	if r := c.rule(t.Context()); !strings.Contains(r.Broken, "could not be read at http://e: cut") {
		t.Errorf("%+v", r)
	}
}

// A day whose edges count right is valid; one whose edge counts one scan too few, in all of a day, is not.
func TestADayIsHeldAgainstItsEdgesCounters(t *testing.T) {
	for _, missed := range []uint64{0, 300} {
		var mu sync.Mutex
		counted := map[string]map[string]float64{} // by the edge's address
		f := newFleet(t, 1000, func(n uint64, ctx *fasthttp.RequestCtx) {
			mu.Lock()
			defer mu.Unlock()
			for line := range bytes.Lines(ctx.Response.Body()) {
				if n != missed {
					counted[string(ctx.Host())][fmt.Sprintf("scanedge_scans_total{issuer=%q,outcome=%q}", "", wordIn(line))]++
				}
			}
		})
		for _, e := range f.config.Edges {
			series := map[string]float64{}
			for _, word := range []string{"green", "yellow", "red", "void", "lapsed", "unknown-subject", "malformed-code"} {
				series[fmt.Sprintf("scanedge_scans_total{issuer=%q,outcome=%q}", "", word)] = 0
			}
			counted[strings.TrimPrefix(e.URL, "http://")] = series
			f.config.Processes = append(f.config.Processes, Process{e.Name, e.URL})
		}
		f.config.Metrics = func(_ context.Context, admin string) (map[string]float64, error) {
			mu.Lock()
			defer mu.Unlock()
			return maps.Clone(counted[strings.TrimPrefix(admin, "http://")]), nil
		}
		r := play(t, t.Context(), f.config)
		rule := r.Rules[len(r.Rules)-1]
		if why := strings.Join(timeless(r.Reasons), "; "); why != rule.Broken || (why != "") != (missed > 0) {
			t.Errorf("with %d missed: %q, %+v", missed, why, rule)
		}
		if missed > 0 && !strings.Contains(rule.Broken, "were answered so: something else answers for it") {
			t.Errorf("%+v", rule)
		}
	}
}
