package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"runtime"
	"slices"

	"github.com/scanedge/scanedge/cache"
)

// Result is what was found at one size. A member that was not measured is absent; Skipped may say why.
type Result struct {
	Subjects uint64             `json:"subjects,omitzero"`
	Machine  *Machine           `json:"machine,omitempty"`
	Seconds  float64            `json:"seconds,omitzero"` // that it all took
	Parts    map[string]float64 `json:"part_seconds,omitempty"`

	// Resident memory above that with an empty table, in bytes a subject.
	BytesLoaded      float64 `json:"bytes_per_subject_loaded,omitzero"`
	BytesLoadingMax  float64 `json:"bytes_per_subject_loading_max,omitzero"` // at any moment of the load, over all subjects
	BytesGrown       float64 `json:"bytes_per_subject_grown,omitzero"`       // after the last put
	BytesGrowingMax  float64 `json:"bytes_per_subject_growing_max,omitzero"` // at any moment with GrowingFrom subjects or more
	GrowingFrom      uint64  `json:"growing_max_from_subjects,omitzero"`
	BytesGrowingMost float64 `json:"bytes_per_subject_growing_max_from_1000000,omitzero"` // with a million or more

	// Nanoseconds of one round of a loop, a lookup, line or put each; in the order of the rounds.
	Rounds map[string][]float64 `json:"rounds_ns,omitempty"`

	// The medians of the rounds, in nanoseconds.
	Keys   float64 `json:"keys_ns,omitzero"`   // making a key at random, which is part of all the others but chase and lines
	Chase  float64 `json:"chase_ns,omitzero"`  // reading a line that the line before named
	Chain  float64 `json:"chain_ns,omitzero"`  // a lookup of a key that the record before named
	Lines  float64 `json:"lines_ns,omitzero"`  // independent reads of lines
	Stream float64 `json:"stream_ns,omitzero"` // independent lookups
	Batch  float64 `json:"batch_ns,omitzero"`  // the same by LookupMany
	Miss   float64 `json:"miss_ns,omitzero"`   // independent lookups of keys that are not there

	ChainVsChase  float64 `json:"chain_vs_chase,omitzero"`
	StreamVsLines float64 `json:"stream_vs_lines,omitzero"`
	BatchVsLines  float64 `json:"batch_vs_lines,omitzero"`
	MissVsLines   float64 `json:"miss_vs_lines,omitzero"`

	// Cache lines that a lookup reads.
	LinesPerHit  float64 `json:"lines_per_hit,omitzero"`
	LinesPerMiss float64 `json:"lines_per_miss,omitzero"`

	Allocs *float64 `json:"allocations_per_lookup,omitempty"`

	Puts       float64 `json:"puts_per_second,omitzero"`        // new records for subjects that are there, by PutMany
	SinglePuts float64 `json:"single_puts_per_second,omitzero"` // the same by Put
	Inserts    float64 `json:"inserts_per_second,omitzero"`     // from empty to all by Put, a reader beside it

	// A stream of lookups while another processor puts.
	WriterRate     float64 `json:"writer_deltas_per_second,omitzero"`
	BesideVsAlone  float64 `json:"stream_beside_writer_vs_alone,omitzero"`
	SlowdownBeside float64 `json:"stream_slowdown_beside_writer,omitzero"` // by how much of itself it slows

	Tails *Tails `json:"tails,omitempty"`

	SnapshotBytes int64              `json:"snapshot_bytes,omitzero"`
	SnapshotWrite float64            `json:"snapshot_write_gb_per_second,omitzero"`
	SnapshotRead  float64            `json:"snapshot_read_gb_per_second,omitzero"` // the median of those that each part had
	SnapshotReads map[string]float64 `json:"snapshot_reads_gb_per_second,omitempty"`
	ScrubSeconds  float64            `json:"scrub_seconds,omitzero"`

	Rivals            map[string]Rival `json:"rivals,omitempty"`
	StreamVsFastcache float64          `json:"stream_vs_fastcache,omitzero"` // how many times faster
	StreamVsMap       float64          `json:"stream_vs_map,omitzero"`
	StreamVsXsync     float64          `json:"stream_vs_xsync,omitzero"`

	// Content as it was grown and as it was loaded.
	Grown  content `json:"content_grown,omitzero"`
	Loaded content `json:"content_loaded,omitzero"`

	Goals   []Goal            `json:"goals,omitempty"`
	Skipped map[string]string `json:"skipped,omitempty"` // what was not measured, and why
}

// Machine is where it was measured.
type Machine struct {
	Go         string `json:"go"`
	System     string `json:"system"`
	Processor  string `json:"processor,omitempty"`
	Processors int    `json:"processors"`
	Memory     uint64 `json:"memory_bytes,omitempty"`
}

// Rival is another store with the same content.
type Rival struct {
	Bytes  float64 `json:"bytes_per_subject,omitzero"`
	Stream float64 `json:"stream_ns"`       // independent lookups
	Table  float64 `json:"table_stream_ns"` // the table's, in turns with them
}

// content is what a table held.
type content struct {
	Subjects int    `json:"subjects"`
	Digest   string `json:"digest"`
}

func contentOf(t *cache.Table) content { return content{t.Len(), t.Digest().String()} }

func newResult(subjects uint64) *Result {
	memory, _ := memoryInAll()
	r := newPartial()
	r.Subjects = subjects
	r.Machine = &Machine{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, processor(), runtime.NumCPU(), memory}
	return r
}

func newPartial() *Result {
	return &Result{
		Rounds: map[string][]float64{}, Parts: map[string]float64{}, SnapshotReads: map[string]float64{},
		Rivals: map[string]Rival{}, Skipped: map[string]string{},
	}
}

// derive fills in what follows from the rounds.
func (r *Result) derive() {
	r.Keys, r.Chase, r.Chain = median(r.Rounds[loopKeys]), median(r.Rounds[loopChase]), median(r.Rounds[loopChain])
	r.Lines, r.Stream = median(r.Rounds[loopLines]), median(r.Rounds[loopStream])
	r.Batch, r.Miss = median(r.Rounds[loopBatch]), median(r.Rounds[loopMiss])
	r.ChainVsChase, r.StreamVsLines = ratio(r.Chain, r.Chase), ratio(r.Stream, r.Lines)
	r.BatchVsLines, r.MissVsLines = ratio(r.Batch, r.Lines), ratio(r.Miss, r.Lines)
	r.Puts, r.SinglePuts = ratio(1e9, median(r.Rounds[loopPuts])), ratio(1e9, median(r.Rounds[loopSinglePuts]))
	if r.BesideVsAlone = ratio(median(r.Rounds[loopBeside]), median(r.Rounds[loopAlone])); r.BesideVsAlone > 0 {
		r.SlowdownBeside = r.BesideVsAlone - 1
	}
	for _, name := range rivalNames {
		if them, us := median(r.Rounds[name]), median(r.Rounds[besideRival+name]); us > 0 {
			r.Rivals[name] = Rival{r.Rivals[name].Bytes, them, us}
		}
	}
	faster := func(name string) float64 { return ratio(r.Rivals[name].Stream, r.Rivals[name].Table) }
	r.StreamVsFastcache, r.StreamVsMap, r.StreamVsXsync = faster("fastcache"), faster("map"), faster("xsync")
	r.SnapshotRead = median(slices.Collect(maps.Values(r.SnapshotReads)))
	r.Goals = goalsOf(r)
}

func median(rounds []float64) float64 {
	if len(rounds) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(rounds))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

// ratio is a over b, and 0, which stands for not measured, if b was not.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Parse reads one Result or an array of them, as JSON.
func Parse(text []byte) (results []*Result, err error) {
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("{")) {
		text = slices.Concat([]byte("["), text, []byte("]"))
	}
	if err := json.Unmarshal(text, &results); err != nil {
		return nil, err
	}
	for _, r := range results {
		if r == nil || r.Subjects == 0 {
			return nil, errors.New("a result has no subjects")
		}
	}
	return results, nil
}
