package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// Line is a run's line of one second.
func Line(now time.Duration, p load.Progress) string {
	return fmt.Sprintf("%4.0fs  planned %d  sent %d  answered %d  wrong %d  p99 %.2f ms",
		now.Seconds(), p.Planned, p.Sent, p.Answered, p.Wrong, p.P99)
}

// Text writes the report for a person.
func (r *Report) Text(w io.Writer) error {
	_, err := io.WriteString(w, r.text())
	return err
}

func (r *Report) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.verdict())
	if r.Proves != "" {
		fmt.Fprintf(&b, "%s shows %s; not %s\n", r.Mode, r.Proves, r.DoesNotProve)
	}
	fmt.Fprintf(&b, "planned %d = sent %d + unsent %d\n", r.Planned, r.Sent, r.Unsent)
	fmt.Fprintf(&b, "sent %d = %s\n", r.Sent, sum(r.Outcomes))
	fmt.Fprintf(&b, "wrong %d\n", r.Wrong)
	if r.Answered > 0 {
		fmt.Fprintf(&b, "answered for %d visits, %.0f/s\n", r.Answered, r.VisitRate)
	}
	fmt.Fprintf(&b, "latency          %s  (from the scheduled time, at %s)\n", times(r.Latency), r.planned())
	if v := r.PushToVisible; v.Count > 0 {
		fmt.Fprintf(&b, "push to visible  %s  (%d turns, until the last edge shows it)\n", times(v), v.Count)
	}
	if r.Killed {
		fmt.Fprintln(&b, "the run was killed, and this is from its log of seconds: percentiles are at most what is said")
	}
	b.WriteString(r.partsText())
	for _, s := range r.SLOs {
		fmt.Fprintln(&b, s)
	}
	return b.String() + r.examples()
}

// planned reads like "3000 requests/s", or "1800 requests/s, 9000 at the peak" where that is above what chance does.
func (r *Report) planned() string {
	s := fmt.Sprintf("%.0f requests/s", r.Rate)
	if r.PeakRate > 1.2*r.Rate {
		s += fmt.Sprintf(", %.0f at the peak", r.PeakRate)
	}
	return s
}

// partsText has a line for each operation and each kind of connection, and one for the processor.
func (r *Report) partsText() string {
	var b strings.Builder
	for _, o := range r.Ops {
		fmt.Fprintf(&b, "  %-18s %s  (%d requests = %s; %d visits)\n", o.Name, times(o.Latency), o.Requests, sum(o.Outcomes), o.Visits)
	}
	for _, k := range r.Kinds {
		fmt.Fprintf(&b, "  over %-13s %s  (%d requests, %d visits, %d dialled)\n", k.Name, times(k.Latency), k.Requests, k.Visits, k.Dialled)
	}
	if p := r.Processor; p != (Processor{}) {
		fmt.Fprintf(&b, "processor        generator %s, machine %s, stolen %s\n", share(p.Own), share(p.Machine), share(p.Stolen))
	}
	for _, s := range r.Spikes {
		fmt.Fprintf(&b, "spike at %s, %d s    %s\n", clock(float64(s.From)), s.To-s.From, s)
	}
	kept := 0
	for _, rule := range r.Rules {
		if rule.Kept {
			kept++
		}
	}
	if len(r.Rules) > 0 {
		fmt.Fprintf(&b, "rules of validity  %d of %d kept\n", kept, len(r.Rules))
	}
	return b.String()
}

// examples are lines of evidence.
func (r *Report) examples() string {
	var b strings.Builder
	for _, e := range r.Examples {
		fmt.Fprintf(&b, "wrong: %q at %s: expected %s, got %s\n", e.Code, e.Edge, e.Expected, e.Got)
	}
	return b.String()
}

func (r *Report) verdict() string {
	if r.Valid {
		return "VALID"
	}
	return "INVALID: " + strings.Join(r.Reasons, "; ")
}

// sum reads like "8 green + 1 red", the most frequent first.
func sum(outcomes map[load.Outcome]uint64) string {
	names := byCount(outcomes)
	terms := make([]string, len(names))
	for k, name := range names {
		terms[k] = fmt.Sprintf("%d %s", outcomes[name], name)
	}
	if len(terms) == 0 {
		return "nothing"
	}
	return strings.Join(terms, " + ")
}

func byCount(outcomes map[load.Outcome]uint64) []load.Outcome {
	return slices.SortedFunc(maps.Keys(outcomes), func(a, b load.Outcome) int {
		return cmp.Or(cmp.Compare(outcomes[b], outcomes[a]), strings.Compare(string(a), string(b)))
	})
}
