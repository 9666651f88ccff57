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
	l, v := r.Latency, r.PushToVisible
	fmt.Fprintf(&b, "latency          p50 %.2f ms  p99 %.2f ms  p99.9 %.2f ms  (from the scheduled time, at %.0f visits/s)\n",
		l.P50, l.P99, l.P999, r.Rate)
	if v.Count > 0 {
		fmt.Fprintf(&b, "push to visible  p50 %.2f ms  p99 %.2f ms  (%d turns, until the last edge shows it)\n", v.P50, v.P99, v.Count)
	}
	if r.Killed {
		fmt.Fprintln(&b, "the run was killed, and this is from its log of seconds: percentiles are at most what is said")
	}
	for _, op := range r.Ops {
		fmt.Fprintf(&b, "  %-18s p50 %.2f ms  p99 %.2f ms  p99.9 %.2f ms  (%d requests = %s; %d visits)\n",
			op.Name, op.Latency.P50, op.Latency.P99, op.Latency.P999, op.Requests, sum(op.Outcomes), op.Visits)
	}
	for _, s := range r.SLOs {
		fmt.Fprintln(&b, s)
	}
	return b.String() + r.examples()
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
