package table

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// load loads the snapshot and measures all that is done with a table that has come to rest.
func (j *job) load() error {
	defer pin(readerCore)()
	memory, err := j.baseline()
	if err != nil {
		j.r.Skipped["memory"] = err.Error()
	}
	j.progress("loading the snapshot", 0)
	t, err := j.read()
	if err != nil {
		return err
	}
	if memory != nil {
		j.r.BytesLoaded = memory.above() / float64(j.Subjects)
		j.r.BytesLoadingMax = memory.peakAbove() / float64(j.Subjects)
	}
	j.r.Loaded = contentOf(t)
	j.countLines(t)
	l, floor := &lookups{table: t, subjects: j.Subjects}, linesOf(t)
	err = j.contest("lookups beside their floor", 0.1, 0.6,
		&contender{name: loopKeys, run: l.empty},
		&contender{name: loopChase, run: floor.chase}, &contender{name: loopChain, run: l.chain},
		&contender{name: loopLines, run: floor.independent}, &contender{name: loopStream, run: l.stream},
		&contender{name: loopBatch, run: l.batch}, &contender{name: loopMiss, run: l.miss})
	if err != nil {
		return err
	}
	j.countAllocations(l)
	if err := j.besideWriter(l); err != nil {
		return err
	}
	d := &deltas{table: t, subjects: j.Subjects}
	err = j.contest("puts", 0.75, 0.95, &contender{name: loopPuts, run: d.many}, &contender{name: loopSinglePuts, run: d.single})
	if err != nil {
		return err
	}
	return j.scrub(t)
}

// read loads the snapshot as one core does it.
func (j *job) read() (*cache.Table, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	f, err := os.Open(j.Snapshot)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := new(cache.Table)
	began := time.Now()
	n, err := t.ReadFrom(f)
	if err != nil {
		return nil, fmt.Errorf("reading the snapshot %s: %w", j.Snapshot, err)
	}
	j.r.SnapshotReads[j.Name] = float64(n) / 1e9 / time.Since(began).Seconds()
	return t, nil
}

// countLines counts the cache lines that lookups read, of subjects at random that are there and that are not.
func (j *job) countLines(t *cache.Table) {
	const drawn = 1 << 20
	hit, miss := 0, 0
	for i := range uint64(drawn) {
		at := draw(mix(i), j.Subjects)
		hit += t.Lines(keyOf(at))
		miss += t.Lines(keyOf(at + absent))
	}
	j.r.LinesPerHit, j.r.LinesPerMiss = float64(hit)/drawn, float64(miss)/drawn
}

// countAllocations counts what lookups allocate. Of three times the least counts, for the runtime may allocate beside them.
func (j *job) countAllocations(l *lookups) {
	const each = 200 * loopUnit
	runs := []loop{l.stream, l.batch, l.miss}
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, run := range runs {
			sum, _ := run(0, each)
			sink.Add(sum)
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	allocs := float64(least) / float64(each*len(runs))
	j.r.Allocs = &allocs
}

// scrub reads all shards again. It comes last: that it finds nothing also says that all puts before it left the table whole.
func (j *job) scrub(t *cache.Table) error {
	j.progress("scrubbing", 0.97)
	began := time.Now()
	for shard := range cache.Shards {
		if err := t.Scrub(shard); err != nil {
			return fmt.Errorf("scrubbing: %w", err)
		}
	}
	j.r.ScrubSeconds = time.Since(began).Seconds()
	return nil
}
