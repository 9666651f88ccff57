package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/scanedge/scanedge/bench/load"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms":      millis,
	"p99":     func(s load.Summary) percentile { return percentiles(s)[1] },
	"sum":     sum,
	"count":   thousands,
	"clock":   func(second int) string { return clock(float64(second)) },
	"share":   share,
	"rate":    func(a float64) string { return thousands(uint64(math.Round(a))) + "/s" },
	"samples": func(n int64) string { return thousands(uint64(n)) },
}).Parse(pageSource))

// figure is a chart in both of its widths; empty where there is nothing to show.
type figure struct{ Wide, Narrow template.HTML }

func draw(seconds []load.Second, make func([]span, float64) template.HTML) figure {
	if len(seconds) == 0 {
		return figure{}
	}
	return figure{make(spans(seconds, 300), wide), make(spans(seconds, 110), narrow)}
}

// row is a line of a table of percentiles.
type row struct {
	Name    string
	Note    string
	Figures load.Summary
}

// Percentiles are the row's.
func (r row) Percentiles() []percentile { return percentiles(r.Figures) }

type page struct {
	*Report
	Verdict                      string
	Rates, Heat, Tails, Failures figure
	Visible, Busy                figure
	Servers                      []server
	Percentiles, Freshness       []row
	Facts                        [][2]string
	Logged                       int
}

// Page returns the report as one page of HTML, with the curves that the seconds show.
func (r *Report) Page(seconds []load.Second) ([]byte, error) {
	p := page{
		Report: r, Verdict: r.word(), Logged: len(seconds), Facts: r.facts(),
		Rates: draw(seconds, rates), Heat: draw(seconds, heat), Tails: draw(seconds, tails), Failures: draw(seconds, failures),
		Visible: draw(seconds, freshness), Busy: draw(seconds, busy), Servers: servers(seconds),
		Percentiles: []row{
			{"latency", "scheduled to answer", r.Latency}, {"service", "sent to answer", r.Service},
			{"lag", "scheduled to sent, by the generator", r.Lateness},
		},
		Freshness: []row{
			{"push to visible", "on the last edge", r.PushToVisible}, {"acknowledged to visible", "on the last edge", r.AckToVisible},
		},
	}
	for _, op := range r.Ops {
		p.Percentiles = append(p.Percentiles, row{op.Name, fmt.Sprintf("%s visits; %s", thousands(op.Visits), sum(op.Outcomes)), op.Latency})
	}
	for _, k := range r.Kinds {
		note := fmt.Sprintf("%s visits; %s dialled", thousands(k.Visits), thousands(k.Dialled))
		p.Percentiles = append(p.Percentiles, row{"over " + k.Name, note, k.Latency})
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("report as a page: %w", err)
	}
	return b.Bytes(), nil
}

// facts are what a figure depends on; what is not known is left out.
func (r *Report) facts() [][2]string {
	e := r.Environment
	all := [][2]string{
		{"processor", e.CPU}, {"processors", whole(uint64(e.Processors))}, {"memory", gigabytes(e.Memory)}, {"kernel", e.Kernel},
		{"open files", whole(e.OpenFiles)}, {"nice", niced(e.Nice)}, {"scanedge", r.Version}, {"commit", e.Commit},
	}
	for _, name := range append([]string{"go"}, modules...) {
		all = append(all, [2]string{name, e.Versions[name]})
	}
	all = append(all, [2]string{"seed", fmt.Sprint(r.Seed)}, [2]string{"scenario", r.Scenario},
		[2]string{"command", strings.Join(e.CommandLine, " ")})
	known := all[:0]
	for _, fact := range all {
		if fact[1] != "" {
			known = append(known, fact)
		}
	}
	return known
}

func niced(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func whole(n uint64) string {
	if n == 0 {
		return ""
	}
	return thousands(n)
}

func gigabytes(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// thousands writes 60000 as 60,000.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
