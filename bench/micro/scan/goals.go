package scan

import "fmt"

// Goal is something that was promised.
type Goal struct {
	Name string  `json:"name"`
	Want string  `json:"want"`
	Got  float64 `json:"got"`
	OK   bool    `json:"ok"`
}

// goalsOf compares a result with what was promised of it.
func goalsOf(r *Result) (goals []Goal) {
	atLeast := func(name string, want, got float64, measured bool) {
		if measured {
			goals = append(goals, Goal{name, fmt.Sprintf("at least %s", number(want)), got, got >= want})
		}
	}
	under := func(name string, want, got float64) {
		goals = append(goals, Goal{name, fmt.Sprintf("under %s", number(want)), got, got < want})
	}
	for _, g := range []struct {
		of, to string
		want   float64
	}{{rowPlain, rowConstant, 0.95}, {rowRolling, rowConstant, 0.90}, {rowPipelined, rowPlain, 4}, {rowBatch, rowRedisPipeline, 1.5}} {
		got, ok := r.ratio(g.of, g.to)
		atLeast(g.of+" to "+g.to, g.want, got, ok)
	}
	atLeast("verdicts/s in batches", 5e6, median(r.Rounds[rowBatch]), r.Rounds[rowBatch] != nil)
	if h := r.Handler; h != nil {
		under("a plain code, ns beyond the lookup", 400, h.PlainBeyond)
		under("a rolling code, ns beyond the lookup", 1000, h.RollingBeyond)
		under("a signed code seen before, ns", 1000, h.Signed)
		goals = append(goals, Goal{"allocations a scan", "0", h.Allocs, h.Allocs < 0.01})
	}
	if i, ok := r.inside(rowPlain); ok {
		under("inside the edge, p50 in µs", 1, i.P50)
		under("p99.99 in µs above that of an empty loop", 10, i.P9999-i.EmptyP9999)
	}
	return goals
}

func (r *Result) ratio(of, to string) (float64, bool) {
	for _, x := range r.Ratios {
		if x.Of == of && x.To == to {
			return x.Median, true
		}
	}
	return 0, false
}

// inside is the median of a row's rounds, figure by figure.
func (r *Result) inside(row string) (m Inside, ok bool) {
	var all []Inside
	for _, i := range r.Inside {
		if i.Row == row {
			all = append(all, i)
			m.Scans += i.Scans
		}
	}
	of := func(figure func(Inside) float64) float64 {
		var figures []float64
		for _, i := range all {
			figures = append(figures, figure(i))
		}
		return median(figures)
	}
	m.P50, m.P99, m.P9999 = of(func(i Inside) float64 { return i.P50 }), of(func(i Inside) float64 { return i.P99 }), of(func(i Inside) float64 { return i.P9999 })
	m.EmptyP50, m.EmptyP99 = of(func(i Inside) float64 { return i.EmptyP50 }), of(func(i Inside) float64 { return i.EmptyP99 })
	m.EmptyP9999 = of(func(i Inside) float64 { return i.EmptyP9999 })
	return m, len(all) > 0
}
