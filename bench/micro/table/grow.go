package table

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// Processors by the order in which a process may use them.
const (
	writerCore = iota
	readerCore
)

// grow fills a table by single puts, a reader beside it, and writes its snapshot.
func (j *job) grow() error {
	rd := newReader(j.Subjects)
	rd.empty(tailTime(j.Slice))
	memory, err := j.baseline()
	if err != nil {
		j.r.Skipped["memory"] = err.Error()
	}
	defer pin(writerCore)()
	wait := rd.growing()
	began := time.Now()
	j.fill(rd, memory)
	j.r.Inserts = float64(j.Subjects) / time.Since(began).Seconds()
	wait()
	if memory != nil {
		j.r.BytesGrown = memory.above() / float64(j.Subjects)
	}
	rd.atRest(tailTime(j.Slice))
	if rd.missed > 0 {
		return fmt.Errorf("beside the growing: %d lookups of subjects that were there did not find them", rd.missed)
	}
	j.r.Tails = rd.tails()
	return j.write(rd.table)
}

// fill puts all subjects and keeps the most memory that a subject took.
func (j *job) fill(rd *reader, memory *baseline) {
	const million = 1_000_000
	step := max(1, j.Subjects/4000)
	from := min(j.Subjects/2, 10*million) // the promise is for 10 million and more
	most, mostLate := 0.0, 0.0
	for i := uint64(0); i < j.Subjects; {
		end := min(j.Subjects, i+step)
		for k := i; k < end; k++ {
			rd.table.Put(keyOf(k), recordOf(k, 0))
		}
		rd.present.Store(end)
		if memory != nil && i > 0 {
			b := memory.peakAbove() / float64(i) // over the least that there were since the peak before
			if i >= million {
				most = max(most, b)
			}
			if i >= from {
				mostLate = max(mostLate, b)
			}
		}
		if i/step%40 == 0 {
			j.progress("growing by single puts", 0.1+0.75*float64(end)/float64(j.Subjects))
		}
		i = end
	}
	j.r.BytesGrowingMost, j.r.BytesGrowingMax = most, mostLate
	if memory != nil {
		j.r.GrowingFrom = from
	}
}

// write writes the table's snapshot.
func (j *job) write(t *cache.Table) (err error) {
	j.progress("writing the snapshot", 0.95)
	j.r.Grown = contentOf(t)
	f, err := os.Create(j.Snapshot)
	if err != nil {
		return err
	}
	t.Describe("bench", cache.SeedID{})
	began := time.Now()
	n, err := t.WriteTo(f)
	took := time.Since(began)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writing the snapshot to %s: %w", j.Snapshot, err)
	}
	j.r.SnapshotBytes, j.r.SnapshotWrite = n, float64(n)/1e9/took.Seconds()
	return nil
}

// baseline is the resident memory of this process with an empty table.
type baseline struct {
	*meter
	bytes int64
}

// baseline reads it after all code has run on a small table that is gone, for the code's own pages are none of the subjects'.
func (j *job) baseline() (*baseline, error) {
	m, err := newMeter()
	if err != nil {
		return nil, err
	}
	warm()
	for range 3 { // the first finds the small table unreachable, its cleanup frees what lies outside the heap
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	m.peak()
	return &baseline{m, m.now()}, nil
}

func (b *baseline) above() float64     { return float64(b.now() - b.bytes) }
func (b *baseline) peakAbove() float64 { return float64(b.peak() - b.bytes) }

func warm() {
	t := new(cache.Table)
	var present atomic.Uint64
	for i := range uint64(2 * loopUnit) {
		t.Put(keyOf(i), recordOf(i, 0))
		present.Store(i)
	}
	l := lookups{table: t, subjects: present.Load()}
	for _, run := range []loop{l.stream, l.chain, l.batch, l.miss} {
		sum, _ := run(0, loopUnit)
		sink.Add(sum)
	}
}
