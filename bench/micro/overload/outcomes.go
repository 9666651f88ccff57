package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// outcomes are what came of the scans that were due in one round of a load.
type outcomes struct {
	due, served, refused, other int
	missed                      int // for want of a scanner that does not wait for an answer
	late                        int // sent more than a millisecond after they were due, for want of time

	took *hdrhistogram.Histogram // of the served ones, in microseconds
	busy time.Duration           // that the edge had a processor
	d    time.Duration           // that the round lasted
}

func newOutcomes() *outcomes {
	return &outcomes{took: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)}
}

// count counts the outcome of a scan by its HTTP status.
func (o *outcomes) count(status int, took time.Duration) {
	switch status {
	case 200:
		o.served++
		_ = o.took.RecordValue(max(1, took.Microseconds()))
	case 503:
		o.refused++
	default:
		o.other++
	}
}

// result is all rounds of a load.
type result struct {
	name   string
	share  float64 // of the capacity, if the load is an open one
	rounds []*outcomes
}

// spread is the median of some rounds, the least and the most.
type spread struct{ median, least, most float64 }

func (r *result) spread(of func(*outcomes) float64) spread {
	var all []float64
	for _, o := range r.rounds {
		all = append(all, of(o))
	}
	slices.Sort(all)
	n := len(all)
	return spread{(all[(n-1)/2] + all[n/2]) / 2, all[0], all[n-1]}
}

func (r *result) goodput() spread {
	return r.spread(func(o *outcomes) float64 { return float64(o.served) / o.d.Seconds() })
}

func (r *result) millis(quantile float64) spread {
	return r.spread(func(o *outcomes) float64 { return float64(o.took.ValueAtQuantile(quantile)) / 1000 })
}

// perCPU is what was served for each second that the edge had its processor: what to look at on a machine where others run too.
func (r *result) perCPU() spread {
	return r.spread(func(o *outcomes) float64 { return float64(o.served) / max(o.busy.Seconds(), 1e-3) })
}

// write writes a line a load. Goodput and latencies are shares of the peak, which is the best goodput at any open load, and of the p99 at half load.
func write(w io.Writer, all []*result) {
	var peak *result
	var half float64
	for _, r := range all {
		if r.share > 0 && (peak == nil || r.goodput().median > peak.goodput().median) {
			peak = r
		}
		if r.share == 0.5 {
			half = r.millis(99).median
		}
	}
	fmt.Fprintf(w, "%-20s %7s %6s %6s %9s %6s %7s %-13s %8s %8s %6s %7s %7s %-15s %8s\n", "load", "due/s", "sent", "late", "refused/s", "cpu", "good/s", "(least-most)",
		"of peak", "a cpu-s", "other", "p50 ms", "p99 ms", "(least-most)", "of half")
	for _, r := range all {
		due := r.spread(func(o *outcomes) float64 { return float64(o.due) / o.d.Seconds() })
		sent := r.spread(func(o *outcomes) float64 { return float64(o.due-o.missed) / float64(o.due) })
		late := r.spread(func(o *outcomes) float64 { return float64(o.late) / float64(o.due) })
		refused := r.spread(func(o *outcomes) float64 { return float64(o.refused) / o.d.Seconds() })
		cpu := r.spread(func(o *outcomes) float64 { return o.busy.Seconds() / o.d.Seconds() })
		other := r.spread(func(o *outcomes) float64 { return float64(o.other) })
		good, p99, ofPeak, ofCPU, ofHalf := r.goodput(), r.millis(99), "", "", ""
		if peak != nil {
			ofPeak = fmt.Sprintf("%.1f%%", 100*good.median/peak.goodput().median)
			ofCPU = fmt.Sprintf("%.1f%%", 100*r.perCPU().median/peak.perCPU().median)
		}
		if half > 0 {
			ofHalf = fmt.Sprintf("%.1f x", p99.median/half)
		}
		fmt.Fprintf(w, "%-20s %7.0f %5.1f%% %5.1f%% %9.0f %5.0f%% %7.0f %-13s %8s %8s %6.0f %7.2f %7.2f %-15s %8s\n", r.name, due.median, 100*sent.median, 100*late.median,
			refused.median, 100*cpu.median, good.median, fmt.Sprintf("(%.0f-%.0f)", good.least, good.most), ofPeak, ofCPU, other.most,
			r.millis(50).median, p99.median, fmt.Sprintf("(%.2f-%.2f)", p99.least, p99.most), ofHalf)
	}
}
