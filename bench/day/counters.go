package day

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// Process is one of the fleet's, an edge by its name or the origin.
type Process struct {
	Name  string
	Admin string // base URL of its admin listener; "": not known
}

// Metrics reads what a process counts: values by the full names of their series, as its admin listener writes them.
type Metrics func(ctx context.Context, admin string) (map[string]float64, error)

// metricsWithin is how long a process has to tell what it counts.
const metricsWithin = 5 * time.Second

// What is read of an edge.
const (
	scansFamily = `scanedge_scans_total{`
	startSeries = `process_start_time_seconds`
)

// counters set what each edge counts by itself beside what the run has sent to it and seen of it, by outcome: an answer that the edge never
// gave, or one that never came, shows. Of what was sent and got no answer nobody knows whether the edge has counted it, so that many may be
// more. All that asks an edge for scans goes through here: visits and canaries. Any number of goroutines may count.
type counters struct {
	read  Metrics
	edges []*edgeCounter // in the plan's order
}

// edgeCounter is what belongs to one edge.
type edgeCounter struct {
	Process
	asked atomic.Uint64 // codes that were sent, or are about to be

	// Set before the load.
	before  scans
	answers map[string]*atomic.Uint64 // codes that were answered, by the words that the edge counts by; nil: it is not looked at
	unread  error                     // why it could not be

	took atomic.Uint64 // the sum of answers
}

// scans are what an edge has counted by a moment.
type scans struct {
	start  float64 // when its process began
	counts map[string]float64
}

// newCounters counts for the edges; those that no process is named after are not looked at.
func newCounters(edges []load.Edge, processes []Process, read Metrics) *counters {
	c := &counters{read: read}
	for _, e := range edges {
		counter := &edgeCounter{Process: Process{Name: e.Name}}
		for _, p := range processes {
			if p.Name == e.Name && read != nil {
				counter.Process = p
			}
		}
		c.edges = append(c.edges, counter)
	}
	return c
}

// begin reads what the edges have counted so far. Nothing that was asked before counts.
func (c *counters) begin(ctx context.Context) {
	for _, e := range c.edges {
		if e.Admin == "" {
			continue
		}
		if e.before, e.unread = c.scansOf(ctx, e); e.unread != nil {
			continue
		}
		e.answers = map[string]*atomic.Uint64{}
		for word := range e.before.counts {
			e.answers[word] = new(atomic.Uint64)
		}
	}
}

func (c *counters) scansOf(ctx context.Context, e *edgeCounter) (s scans, err error) {
	ctx, cancel := context.WithTimeout(ctx, metricsWithin)
	defer cancel()
	all, err := c.read(ctx, e.Admin)
	if err != nil {
		return s, err
	}
	s.start, s.counts = all[startSeries], map[string]float64{}
	for series, n := range all {
		if labels, ok := strings.CutPrefix(series, scansFamily); ok {
			s.counts[label(labels, "outcome")] += n
		}
	}
	return s, nil
}

// label is the value of a label whose values need no quoting.
func label(labels, name string) string {
	_, value, _ := strings.Cut(labels, name+`="`)
	value, _, _ = strings.Cut(value, `"`)
	return value
}

// ask counts codes that are about to be sent to an edge.
func (c *counters) ask(edge, codes int) { c.edges[edge].asked.Add(uint64(codes)) }

// answer counts what an edge has answered: a code, or the lines of an upload.
func (c *counters) answer(edge int, body []byte, upload bool) {
	e := c.edges[edge]
	if !upload {
		e.count(wordIn(body))
		return
	}
	for line := range bytes.Lines(body) {
		e.count(wordIn(line))
	}
}

// count counts an answer, if the edge counts such too.
func (e *edgeCounter) count(word []byte) {
	if n := e.answers[string(word)]; n != nil {
		n.Add(1)
		e.took.Add(1)
	}
}

// wordIn is what a verdict, an upload's line or a problem says first: its status, error or type.
func wordIn(answer []byte) []byte {
	for _, member := range wordMembers {
		if i := bytes.Index(answer, member); i >= 0 {
			word, _, _ := bytes.Cut(answer[i+len(member):], []byte{'"'})
			return word
		}
	}
	return nil
}

var wordMembers = [][]byte{[]byte(`"status":"`), []byte(`"error":"`), []byte(`"type":"`)}

// visits makes visits; their codes are counted as they are made.
func (c *counters) visits(visit func(i uint64, v *load.Visit)) func(i uint64, v *load.Visit) {
	return func(i uint64, v *load.Visit) {
		visit(i, v)
		c.ask(v.Edge, max(1, bytes.Count(v.Body, []byte{'\n'})))
	}
}

// judged judges; what was answered is counted.
func (c *counters) judged(judge func(v *load.Visit, a *load.Answer) load.Judgement) func(v *load.Visit, a *load.Answer) load.Judgement {
	return func(v *load.Visit, a *load.Answer) load.Judgement {
		c.answer(v.Edge, a.Body, len(v.Body) > 0 && a.Code == http.StatusOK)
		return judge(v, a)
	}
}

// scan counts what a canary's scan asks of an edge and is answered.
func (c *counters) scan(edge int, scan Scan) Scan {
	return func(ctx context.Context, code string) (scanedge.Verdict, error) {
		c.ask(edge, 1)
		v, err := scan(ctx, code)
		switch p := (*scanedge.Problem)(nil); {
		case err == nil:
			c.edges[edge].count([]byte(v.Status))
		case errors.As(err, &p) && p.Type != scanedge.Behind: // which a client also says by itself
			c.edges[edge].count([]byte(p.Type))
		}
		return v, err
	}
}

// rule compares, once nothing is under way any more.
func (c *counters) rule(ctx context.Context) load.RuleResult {
	ctx = context.WithoutCancel(ctx) // the load may have been interrupted
	r := load.RuleResult{Name: "edges' own counters"}
	var measured, broken []string
	for _, e := range c.edges {
		switch {
		case e.Admin == "" || e.asked.Load() == 0: // nothing was asked when the day could not begin
			measured = append(measured, e.Name+" not looked at")
		case e.unread != nil:
			broken = append(broken, fmt.Sprintf("what %s counts could not be read at %s: %v", e.Name, e.Admin, e.unread))
		default:
			now, err := c.scansOf(ctx, e)
			if err != nil {
				broken = append(broken, fmt.Sprintf("what %s counts could not be read at %s: %v", e.Name, e.Admin, err))
				continue
			}
			counted, why := e.compare(now)
			measured = append(measured, fmt.Sprintf("%s %.0f scans", e.Name, counted))
			broken = append(broken, why...)
		}
	}
	r.Measured, r.Broken = strings.Join(measured, ", "), strings.Join(broken[:min(len(broken), maxReasons)], "; ")
	return r
}

// compare returns how many scans an edge has counted since the beginning, and each outcome that it counted less or more of than can be.
func (e *edgeCounter) compare(now scans) (counted float64, broken []string) {
	open := float64(e.asked.Load() - e.took.Load()) // without an answer, or with one that edges don't count as a scan
	words := slices.Sorted(maps.Keys(e.before.counts))
	for _, word := range words {
		n := now.counts[word] - e.before.counts[word]
		if now.start != e.before.start || n < 0 {
			return counted, []string{e.Name + " was restarted or taken over from while the load ran, so what it counted is not known"}
		}
		counted += n
		switch seen := float64(e.answers[word].Load()); {
		case n < seen:
			broken = append(broken, fmt.Sprintf("%s counted %.0f scans as %s, and %.0f were answered so: something else answers for it", e.Name, n, word, seen))
		case n > seen+open:
			broken = append(broken, fmt.Sprintf("%s counted %.0f scans as %s, and %.0f were answered so: somebody else asks it, or answers are changed on their way",
				e.Name, n, word, seen))
		}
	}
	if asked := float64(e.asked.Load()); counted > asked && len(broken) == 0 {
		broken = append(broken, fmt.Sprintf("%s counted %.0f scans, and %.0f were sent to it", e.Name, counted, asked))
	}
	return counted, broken
}
