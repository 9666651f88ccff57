package report

import (
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
	var b strings.Builder
	fmt.Fprintln(&b, r.verdict())
	fmt.Fprintf(&b, "planned %d = sent %d + unsent %d\n", r.Planned, r.Sent, r.Unsent)
	fmt.Fprintf(&b, "sent %d = %s\n", r.Sent, r.sum())
	fmt.Fprintf(&b, "wrong %d\n", r.Wrong)
	l, v := r.Latency, r.PushToVisible
	fmt.Fprintf(&b, "latency          p50 %.2f ms  p99 %.2f ms  p99.9 %.2f ms  (from the scheduled time, at %.0f visits/s)\n",
		l.P50, l.P99, l.P999, r.Rate)
	fmt.Fprintf(&b, "push to visible  p50 %.2f ms  p99 %.2f ms  (%d turns, until the last edge shows it)\n", v.P50, v.P99, v.Count)
	for _, e := range r.Examples {
		fmt.Fprintf(&b, "wrong: %q at %s: expected %s, got %s\n", e.Code, e.Edge, e.Expected, e.Got)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) verdict() string {
	if r.Valid {
		return "VALID"
	}
	return "INVALID: " + strings.Join(r.Reasons, "; ")
}

// sum reads like "8 green + 1 red", the most frequent first.
func (r *Report) sum() string {
	names := slices.SortedFunc(maps.Keys(r.Outcomes), func(a, b load.Outcome) int {
		if d := int(r.Outcomes[b]) - int(r.Outcomes[a]); d != 0 {
			return d
		}
		return strings.Compare(string(a), string(b))
	})
	terms := make([]string, len(names))
	for k, name := range names {
		terms[k] = fmt.Sprintf("%d %s", r.Outcomes[name], name)
	}
	if len(terms) == 0 {
		return "nothing"
	}
	return strings.Join(terms, " + ")
}
