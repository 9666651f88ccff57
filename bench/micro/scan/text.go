package scan

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Text writes the result for a person.
func (r *Result) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s subjects; %s, %d processors, %s; server and load on one each; medians of %d rounds of %g s (least to most)\n\n",
		number(float64(r.Subjects)), r.Machine.Processor, r.Machine.Processors, r.Machine.Go, r.rounds(), r.Slice)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t(%s to %s)\n", row.Name, r.what(row), rate(row.Median)+" "+row.Unit, rate(row.Least), rate(row.Most))
	}
	fmt.Fprintln(t, "\t\t\t")
	for _, x := range r.Ratios {
		fmt.Fprintf(t, "%s\tto %s\t%.3f\t(%.3f to %.3f)\n", x.Of, x.To, x.Median, x.Least, x.Most)
	}
	_ = t.Flush()
	r.textInside(&b)
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(&b, "not measured: %s: %s\n", name, r.Skipped[name])
	}
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	for _, g := range r.Goals {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", mark(g.OK), g.Name, number(g.Got), g.Want)
	}
	_ = t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) textInside(b *strings.Builder) {
	fmt.Fprintln(b)
	for _, row := range r.Rows {
		if i, ok := r.inside(row.Name); ok {
			fmt.Fprintf(b, "inside the edge, %s scans of %s: p50 %.2f µs, p99 %.2f, p99.99 %.2f; an empty loop there: %.2f, %.2f, %.2f\n",
				number(float64(i.Scans)), row.Name, i.P50, i.P99, i.P9999, i.EmptyP50, i.EmptyP99, i.EmptyP9999)
		}
	}
	if h := r.Handler; h != nil {
		fmt.Fprintf(b, "without a network: lookup %.0f ns; a scan %.0f plain, %.0f rolling, %.0f signed; plain with HTTP %.0f, of which fasthttp %.0f\n",
			h.Lookup, h.Plain, h.Rolling, h.Signed, h.HTTP, h.Floor)
	}
}

// what says what a row is, and of how many subjects if not of all.
func (r *Result) what(row Row) string {
	if strings.HasPrefix(row.Name, rowRedis) && r.RedisSubjects < r.Subjects {
		return fmt.Sprintf("%s (%s subjects: memory is short)", row.What, number(float64(r.RedisSubjects)))
	}
	return row.What
}

func (r *Result) rounds() (n int) {
	for _, rounds := range r.Rounds {
		n = max(n, len(rounds))
	}
	return n
}

func mark(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}

// rate is a rate with the digits that mean something.
func rate(v float64) string {
	if v >= 1e6 {
		return strconv.FormatFloat(v/1e6, 'f', 2, 64) + " M"
	}
	return number(v)
}

// number is a number with four digits that count, or in groups of three.
func number(v float64) string {
	if v < 1e4 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
