package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/scanedge/scanedge/bench/load"
)

// Diff writes two reports side by side, with what the second is of the first. What makes them hard to compare comes first.
func Diff(w io.Writer, nameA, nameB string, a, b *Report) error {
	var out strings.Builder
	for _, why := range unlike(a, b) {
		fmt.Fprintf(&out, "not alike: %s\n", why)
	}
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t%s\tratio\t\n\t%s\t%s\t\t\n", nameA, nameB, a.word(), b.word())
	diffCounts(t, a, b)
	diffTimes(t, "latency", a.Latency, b.Latency)
	diffTimes(t, "service", a.Service, b.Service)
	diffTimes(t, "lateness", a.Lateness, b.Lateness)
	diffTimes(t, "push to visible", a.PushToVisible, b.PushToVisible)
	for _, op := range a.Ops {
		if other := b.op(op.Name); other != nil {
			diffTimes(t, op.Name, op.Latency, other.Latency)
		}
	}
	for _, kind := range a.Kinds {
		if k := slices.IndexFunc(b.Kinds, func(other Kind) bool { return other.Name == kind.Name }); k >= 0 {
			diffTimes(t, "over "+kind.Name, kind.Latency, b.Kinds[k].Latency)
		}
	}
	_ = t.Flush() // into memory
	_, err := io.WriteString(w, out.String())
	return err
}

func diffCounts(w io.Writer, a, b *Report) {
	errors := func(r *Report) float64 { return float64(r.Outcomes[load.Failed] + r.Outcomes[load.Refused]) }
	for _, c := range []struct {
		name string
		a, b float64
	}{
		{"planned", float64(a.Planned), float64(b.Planned)}, {"planned/s", a.Rate, b.Rate},
		{"planned/s, peak", a.PeakRate, b.PeakRate}, {"sent", float64(a.Sent), float64(b.Sent)},
		{"visits/s", a.VisitRate, b.VisitRate},
		{"errors", errors(a), errors(b)}, {"wrong", float64(a.Wrong), float64(b.Wrong)},
	} {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%s\t\n", c.name, c.a, c.b, ratio(c.a, c.b))
	}
}

// diffTimes has a row for each percentile that both have samples enough for, and one for the longest.
func diffTimes(w io.Writer, name string, a, b load.Summary) {
	if a.Count == 0 || b.Count == 0 {
		return
	}
	ofB := percentiles(b)
	for k, p := range percentiles(a) {
		if p.Known() && ofB[k].Known() {
			fmt.Fprintf(w, "%s %s ms\t%.2f\t%.2f\t%s\t\n", name, p.name, p.ms, ofB[k].ms, ratio(p.ms, ofB[k].ms))
		}
	}
	fmt.Fprintf(w, "%s max ms\t%.2f\t%.2f\t%s\t\n", name, a.Max, b.Max, ratio(a.Max, b.Max))
}

// ratio says how many times a is in b.
func ratio(a, b float64) string {
	switch {
	case a == b:
		return "1.00"
	case a == 0:
		return "-"
	}
	return fmt.Sprintf("%.2f", b/a)
}

// unlike says why two reports can't be compared as they stand.
func unlike(a, b *Report) (why []string) {
	for _, c := range []struct{ what, a, b string }{
		{"the mode", a.Mode, b.Mode}, {"the scenario", a.Scenario, b.Scenario}, {"the seed", fmt.Sprint(a.Seed), fmt.Sprint(b.Seed)},
		{"the processor", a.Environment.CPU, b.Environment.CPU},
		{"its number", fmt.Sprint(a.Environment.Processors), fmt.Sprint(b.Environment.Processors)},
		{"the kernel", a.Environment.Kernel, b.Environment.Kernel}, {"scanedge", a.Version, b.Version},
	} {
		if c.a != c.b {
			why = append(why, fmt.Sprintf("%s is %q in one and %q in the other", c.what, c.a, c.b))
		}
	}
	return why
}

func (r *Report) op(name string) *Op {
	for i := range r.Ops {
		if r.Ops[i].Name == name {
			return &r.Ops[i]
		}
	}
	return nil
}

func (r *Report) word() string {
	if r.Valid {
		return "VALID"
	}
	return "INVALID"
}
