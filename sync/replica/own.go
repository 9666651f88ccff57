package replica

import (
	"context"
	"math/rand/v2"
	"time"
)

// kept is what is known of the table that this edge keeps for its next start.
type kept struct {
	offset uint64
	time   time.Time // zero: nothing was kept yet
}

// keepWithin is the time after its first agreement within which a table is kept for the first time: edges that start together do
// not write together.
const keepWithin = 30 * time.Second

// keepOwn keeps the table that is shown on disk, soon after it agreed first and from then on at intervals, if it moved. It never waits
// for the following of the log, nor the log for it, but for the copy of one shard.
func (r *Replica) keepOwn(ctx context.Context) {
	for pause := time.Duration(0); sleep(ctx, pause); pause = jitter(r.cfg.SnapshotEvery, 0.1) {
		for r.believed() == nil {
			if !sleep(ctx, time.Second) {
				return
			}
		}
		if pause == 0 && !sleep(ctx, rand.N(min(keepWithin, r.cfg.SnapshotEvery))) {
			return
		}
		r.keepOnce(ctx)
	}
}

// believed returns the table that is shown if it is the one that is followed and nobody doubts it, else nil.
func (r *Replica) believed() *track {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown == nil || r.shown != r.next || r.doubt != "" {
		return nil
	}
	return r.shown
}

func (r *Replica) keepOnce(ctx context.Context) {
	r.keeping.Lock()
	defer r.keeping.Unlock()
	ctx, done, err := r.folder.use(ctx)
	if err != nil {
		return
	}
	defer done()
	k := r.believed()
	if k == nil || !k.table.Exact() {
		return
	}
	at := k.table.Position().Offset
	r.mu.Lock()
	moved := r.kept.time.IsZero() || r.kept.offset != at
	r.mu.Unlock()
	if !moved {
		return
	}
	began := time.Now()
	if err := r.store.Keep(ctx, k.table); err != nil {
		if ctx.Err() != nil {
			return
		}
		r.logger.Error("the table was not kept for the next start, which will take longer; look after the disk of the data folder", "err", err)
		return
	}
	if r.believed() != k { // given up meanwhile, and what was on disk perhaps dropped before this came there
		r.drop("the kept table", r.store.DropOwn)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = kept{at, began}
	r.logger.Debug("table kept", "offset", at, "took", time.Since(began))
}
