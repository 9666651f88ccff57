package report

import (
	"fmt"
	"slices"

	"github.com/scanedge/scanedge/bench/load"
)

// Spike is a stretch of the log in which the planned rate is over three times the log's median.
type Spike struct {
	From      int     `json:"from_s"`
	To        int     `json:"to_s"` // the first second after it
	PeakRate  float64 `json:"peak_rate"`
	WorstP99  float64 `json:"worst_p99_ms"` // of its seconds
	Recovered *int    `json:"recovered_s"`  // seconds from its end until the p99 is under the SLO for three; null: not while it was logged
}

// What makes a spike, and what ends its consequences. Two stretches with less than steady between them are one.
const (
	spikeTimes = 3
	steady     = 3 // seconds
)

// spikes finds them, and how long the latency took to be under want again.
func spikes(seconds []load.Second, want float64) []Spike {
	rates := make([]float64, len(seconds))
	for i := range seconds {
		rates[i] = rate(seconds, i)
	}
	limit := spikeTimes * median(rates)
	all := []Spike{}
	var ends []int // where each ends in the log
	for i, s := range seconds {
		if rates[i] <= limit {
			continue
		}
		if k := len(all) - 1; k < 0 || s.Second-all[k].To >= steady {
			all, ends = append(all, Spike{From: s.Second}), append(ends, i)
		}
		last := &all[len(all)-1]
		last.To, ends[len(ends)-1] = s.Second+lasts(seconds, i), i+1
		last.PeakRate = max(last.PeakRate, rates[i])
	}
	for k := range all {
		all[k].WorstP99 = worstP99(seconds, all[k].From, all[k].To)
		all[k].Recovered = recovered(seconds[ends[k]:], all[k].To, want)
	}
	return all
}

// String reads like "up to 9000/s, p99 up to 12.0 ms, recovered at once".
func (s Spike) String() string {
	return fmt.Sprintf("up to %.0f/s, p99 up to %s, %s", s.PeakRate, millis(s.WorstP99), s.Recovery())
}

// Recovery says when it was over.
func (s Spike) Recovery() string {
	switch {
	case s.Recovered == nil:
		return "not recovered while it was logged"
	case *s.Recovered == 0:
		return "recovered at once"
	}
	return fmt.Sprintf("recovered after %d s", *s.Recovered)
}

func worstP99(seconds []load.Second, from, to int) (worst float64) {
	for _, s := range seconds {
		if s.Second >= from && s.Second < to {
			worst = max(worst, s.Latency.P99)
		}
	}
	return worst
}

// recovered returns how many seconds after the end the steady ones begin.
func recovered(after []load.Second, end int, want float64) *int {
	since := end
	for i, s := range after {
		next := s.Second + lasts(after, i)
		if quiet := s.Latency.Count == 0 && s.Sent == 0; !quiet && (s.Latency.Count == 0 || s.Latency.P99 >= want) {
			since = next
		}
		if next-since >= steady {
			took := since - end
			return &took
		}
	}
	return nil
}

func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
