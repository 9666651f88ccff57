package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// scrubError is the error of a table whose memory is not what was put into it.
type scrubError struct{ error }

func (e *scrubError) Unwrap() error { return e.error }

// scrubs is what is known of the scrubbing of the table that is shown.
type scrubs struct {
	table *cache.Table
	began time.Time     // of the pass under way
	done  int           // shards of it
	last  time.Time     // when the last full pass over this table ended; zero: none did
	took  time.Duration // and how long it took
}

// scrub reads the memory of the table that is shown again, a shard at a time, all the time: memory that changed by itself is what no
// beat can find. It begins at any shard, so that edges that start together do not read the same part at the same time.
func (r *Replica) scrub(ctx context.Context) {
	i := rand.N(cache.Shards)
	for sleep(ctx, jitter(r.cfg.ScrubEvery/cache.Shards, 0.1)) {
		if table := r.scrubbing(); table != nil {
			i = (i + 1) % cache.Shards
			r.scrubShard(table, i)
		}
	}
}

// scrubbing returns the table to scrub: the one that is shown, unless it is doubted already.
func (r *Replica) scrubbing() *cache.Table {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown == nil || r.doubt != "" {
		return nil
	}
	return r.shown.table
}

func (r *Replica) scrubShard(table *cache.Table, i int) {
	if err := table.Scrub(i); err != nil {
		r.suspect(table, err.Error())
		r.interrupt(table, &scrubError{fmt.Errorf("%w; its memory changed by itself: have this machine's looked at", err)})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.scrubs
	if s.table != table {
		return
	}
	if s.done++; s.done == cache.Shards {
		now := time.Now()
		*s = scrubs{table: table, began: now, last: now, took: now.Sub(s.began)}
	}
}

// interrupt ends the following of the log with an error, if it is done with that table.
func (r *Replica) interrupt(table *cache.Table, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil && r.next.table == table && r.stop != nil {
		r.stop(err)
	}
}
