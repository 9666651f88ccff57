package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"github.com/scanedge/scanedge/bench/load"
)

// Read returns the report of a folder, or one that was kept as a file. Where the folder's run was killed before it could write one, it is
// made from the log of seconds, up to the last whole one, and is not valid.
func Read(at string) (*Report, error) {
	if info, err := os.Stat(at); err == nil && info.IsDir() {
		return readFolder(at)
	}
	r := new(Report)
	if err := readJSON(at, r); err != nil {
		return nil, fmt.Errorf("%w; give the --out folder of a bench day, or its %s", err, File)
	}
	return r, nil
}

func readFolder(dir string) (*Report, error) {
	r := new(Report)
	err := readJSON(filepath.Join(dir, File), r)
	if err == nil && !r.Killed {
		return r, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	run := new(Run)
	if err := readJSON(filepath.Join(dir, RunFile), run); err != nil {
		return nil, fmt.Errorf("%w; give the --out folder of a bench day", err)
	}
	seconds, err := ReadSeconds(dir)
	if err != nil {
		return nil, err
	}
	return killed(run, seconds), nil
}

func readJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s is not what a bench day writes: %w", path, err)
	}
	return nil
}

// Unknown is the outcome of visits that were under way when their run was killed.
const Unknown load.Outcome = "unknown"

// killed makes the report of a run that left only its log.
func killed(run *Run, seconds []load.Second) *Report {
	last, answered := 0, uint64(0)
	r := &Report{
		Killed: true, Planned: run.Visits, Outcomes: map[load.Outcome]uint64{}, Examples: []load.Example{}, Ops: []Op{},
		Kinds: []Kind{}, Spikes: []Spike{},
		Visits: run.Visits, Duration: run.Duration, Started: run.Started, Rate: float64(run.Visits) / max(run.Duration, 1e-9),
		Machine: Machine{run.Environment.Processors, runtime.GOOS, runtime.GOARCH, run.Environment.Versions["go"]},
	}
	var heat [load.HeatBuckets]uint64
	for _, s := range seconds {
		last = s.Second + 1
		r.Sent, r.Wrong, r.Answered = r.Sent+s.Sent, r.Wrong+s.Wrong, r.Answered+s.Visits
		for outcome, n := range s.Outcomes {
			r.Outcomes[outcome] += n
			answered += n
		}
		for i, n := range s.Heat {
			heat[i] += uint64(n)
		}
		r.Latency, r.Lateness = worst(r.Latency, s.Latency), worst(r.Lateness, s.Lag)
	}
	if answered < r.Sent {
		r.Outcomes[Unknown] = r.Sent - answered
	}
	r.Unsent = r.Planned - min(r.Planned, r.Sent)
	r.Latency = atMost(heat, r.Latency)
	r.PeakRate = max(r.Rate, loggedPeak(seconds))
	r.VisitRate = float64(r.Answered) / float64(max(1, last))
	r.Reasons = []string{fmt.Sprintf("the run was killed: its log ends after %d of %.0f seconds", last, run.Duration)}
	r.Rules = []Rule{{"the run came to its end", false, fmt.Sprintf("%d of %.0f seconds", last, run.Duration), r.Reasons[0]}}
	r.Conclude(run)
	return r
}

// worst joins two summaries: a percentile of all samples is at most the higher one of both parts.
func worst(a, b load.Summary) load.Summary {
	return load.Summary{
		P50: max(a.P50, b.P50), P99: max(a.P99, b.P99), P999: max(a.P999, b.P999),
		P9999: max(a.P9999, b.P9999), Max: max(a.Max, b.Max), Count: a.Count + b.Count,
	}
}

// atMost lowers percentiles to what answers by bucket can't exceed.
func atMost(heat [load.HeatBuckets]uint64, worst load.Summary) load.Summary {
	var all uint64
	for _, n := range heat {
		all += n
	}
	at := func(q, worst float64) float64 {
		rank, below := uint64(math.Ceil(q*float64(all))), uint64(0)
		for i, n := range heat {
			if below += n; below >= rank && all > 0 && i < load.HeatBuckets-1 {
				return min(heatBound(i), worst)
			}
		}
		return worst
	}
	worst.P50, worst.P99, worst.P999, worst.P9999 = at(0.5, worst.P50), at(0.99, worst.P99), at(0.999, worst.P999), at(0.9999, worst.P9999)
	return worst
}
