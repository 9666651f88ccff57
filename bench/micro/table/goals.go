package table

// Goal is a figure that was promised, and whether it is kept. It is promised for From subjects and more; with fewer it is told
// for comparison.
type Goal struct {
	Name     string  `json:"name"` // the member of Result that it is about
	Value    float64 `json:"value"`
	AtMost   float64 `json:"at_most,omitzero"`
	AtLeast  float64 `json:"at_least,omitzero"`
	From     uint64  `json:"promised_from_subjects"`
	Promised bool    `json:"promised"`
	OK       bool    `json:"ok"`
}

const (
	memoryFrom = 10_000_000 // subjects from which the promises on memory hold
	timeFrom   = 20_000_000 // and those on time
)

// goalsOf are the goals of what was measured.
func goalsOf(r *Result) []Goal {
	var goals []Goal
	add := func(measured bool, g Goal) {
		if !measured {
			return
		}
		g.Promised = r.Subjects >= g.From
		g.OK = (g.AtLeast == 0 || g.Value >= g.AtLeast) && (g.AtMost == 0 || g.Value <= g.AtMost)
		goals = append(goals, g)
	}
	most := func(name string, value, limit float64, from uint64) {
		add(value > 0, Goal{Name: name, Value: value, AtMost: limit, From: from})
	}
	least := func(name string, value, limit float64) {
		add(value > 0, Goal{Name: name, Value: value, AtLeast: limit, From: timeFrom})
	}
	most("bytes_per_subject_loaded", r.BytesLoaded, 14, memoryFrom)
	most("bytes_per_subject_growing_max", r.BytesGrowingMax, 16.5, memoryFrom)
	most("chain_vs_chase", r.ChainVsChase, 1.3, timeFrom)
	most("stream_vs_lines", r.StreamVsLines, 3, timeFrom)
	most("batch_vs_lines", r.BatchVsLines, 2, timeFrom)
	most("lines_per_miss", r.LinesPerMiss, 1.2, timeFrom)
	most("stream_beside_writer_vs_alone", r.BesideVsAlone, 1.15, timeFrom)
	if t := r.Tails; t != nil {
		add(true, Goal{Name: "tails.growing_over_rest_p9999_ns", Value: float64(t.GrowingOverRest), AtMost: 20_000, From: timeFrom})
	}
	if r.Allocs != nil {
		add(true, Goal{Name: "allocations_per_lookup", Value: *r.Allocs, AtMost: 1e-6}) // of 600,000: none
	}
	least("stream_vs_fastcache", r.StreamVsFastcache, 8)
	least("stream_vs_map", r.StreamVsMap, 2)
	least("puts_per_second", r.Puts, 5e6)
	least("snapshot_read_gb_per_second", r.SnapshotRead, 1)
	most("scrub_seconds", r.ScrubSeconds, float64(r.Subjects)/10e6, timeFrom)
	return goals
}

// Goal returns the goal of a name, and whether there is one.
func (r *Result) Goal(name string) (Goal, bool) {
	for _, g := range r.Goals {
		if g.Name == name {
			return g, true
		}
	}
	return Goal{}, false
}
