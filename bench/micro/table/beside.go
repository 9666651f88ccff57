package table

import (
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// deltas are new records for subjects that a table has.
type deltas struct {
	table    *cache.Table
	subjects uint64
	chunk    [putMany]cache.Delta
}

const putMany = 1024 // deltas in a chunk for PutMany

func (d *deltas) make(from uint64, n int) []cache.Delta {
	for i := range uint64(n) {
		at := draw(mix(from+i), d.subjects)
		d.chunk[i] = cache.Delta{Key: keyOf(at), Record: recordOf(at, from)}
	}
	return d.chunk[:n]
}

func (d *deltas) many(from uint64, ops int) (_, _ uint64) {
	for i := 0; i < ops; i += putMany {
		d.table.PutMany(d.make(from+uint64(i), putMany))
	}
	return 0, 0
}

func (d *deltas) single(from uint64, ops int) (_, _ uint64) {
	for i := 0; i < ops; i += putMany {
		for _, delta := range d.make(from+uint64(i), putMany) {
			d.table.Put(delta.Key, delta.Record)
		}
	}
	return 0, 0
}

// pacedWriter puts writerRate deltas a second on a processor of its own while it is on.
type pacedWriter struct {
	deltas
	on, end atomic.Bool

	// Read when it has ended.
	done uint64
	busy time.Duration
}

const (
	writerRate  = 1_000_000 // deltas a second
	writerChunk = 256       // put at once, each chunk when it is due
)

func (w *pacedWriter) run() {
	defer pin(writerCore)()
	for !w.end.Load() {
		if !w.on.Load() {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		began, done := time.Now(), uint64(0)
		for w.on.Load() {
			for time.Since(began).Seconds()*writerRate < float64(done) {
			}
			w.table.PutMany(w.make(w.done+done, writerChunk))
			done += writerChunk
		}
		w.done += done
		w.busy += time.Since(began)
	}
}

// besideWriter measures a stream of lookups alone and beside a writer, in turns.
func (j *job) besideWriter(l *lookups) error {
	w := &pacedWriter{deltas: deltas{table: l.table, subjects: l.subjects}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run()
	}()
	under := func(on bool) loop {
		return func(from uint64, ops int) (uint64, uint64) {
			w.on.Store(on)
			return l.stream(from, ops)
		}
	}
	err := j.contest("lookups beside a writer", 0.6, 0.75,
		&contender{name: loopAlone, run: under(false)}, &contender{name: loopBeside, run: under(true)})
	w.on.Store(false)
	w.end.Store(true)
	<-ended
	if w.busy > 0 {
		j.r.WriterRate = float64(w.done) / w.busy.Seconds()
	}
	return err
}
