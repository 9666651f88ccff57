package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// errLoad is the error of a snapshot that was there and is of no use: to fetch the next one may take long.
var errLoad = errors.New("a snapshot can't be read")

// vouchedFor is how long after a view was published a scan that took hold of it can pass for fresh: a little more than the lease.
const vouchedFor = 3100 * time.Millisecond

// found returns the table that is followed, or finds one to follow.
func (r *Replica) found(ctx context.Context) (*track, error) {
	if r.next != nil {
		return r.next, nil
	}
	k, err := r.find(ctx)
	if err == nil {
		r.pause(pauseOffer).reset()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loading = 0
	if err != nil {
		return nil, err
	}
	k.strict = r.strict
	r.next, r.offset = k, k.at.Offset
	r.logger.Info("following the log", "from", k.source, "offset", k.at.Offset, "subjects", k.table.Len())
	return k, nil
}

func (r *Replica) find(ctx context.Context) (*track, error) {
	if k := r.fromOwn(); k != nil {
		return k, nil
	}
	if k := r.fromDisk(ctx); k != nil {
		return k, nil
	}
	return r.fromOffer(ctx)
}

// fromOwn reads the table that this edge kept; nil if there is none of use.
func (r *Replica) fromOwn() *track {
	if r.shown != nil && !r.reserve(bytesOf(r.shown.table)) {
		return nil // it can't be read in place
	}
	t := new(cache.Table)
	found, err := r.store.LoadOwn(t)
	if err == nil && found && t.Position().Offset < r.floor {
		err = fmt.Errorf("it stands at %s, and the log begins after that", t.Position())
	}
	if err != nil {
		r.logger.Warn("the kept table is of no use and dropped", "err", err)
		r.drop("the kept table", r.store.DropOwn)
	}
	if err != nil || !found {
		return nil
	}
	return trackOf(t, "the kept table", r.store.DropOwn)
}

// fromDisk reads the newest snapshot on disk; nil if there is none of use.
func (r *Replica) fromDisk(ctx context.Context) *track {
	for _, f := range r.store.List() {
		if f.Began.Offset < r.floor {
			return nil
		}
		k, err := r.read(ctx, f)
		if err == nil {
			return k
		}
		r.logger.Warn("a snapshot on disk is of no use", "id", f.ID, "err", err)
	}
	return nil
}

// fromOffer fetches the snapshot that the origin offers. If it has none, the log holds everything.
func (r *Replica) fromOffer(ctx context.Context) (*track, error) {
	ctx, done, err := r.folder.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	r.say("fetching a snapshot")
	ask := func(ctx context.Context) (snapshot.Offer, error) { return r.origin.offer(ctx, r.pub.ID) }
	f, err := r.store.Fetch(ctx, ask, r.floor, r.cfg.Sources, r.logger)
	if errors.Is(err, errNoSnapshot) && r.floor == 0 {
		t := new(cache.Table)
		t.Describe(r.pub.ID, r.pub.Seed.ID())
		return trackOf(t, "the log's start", nil), nil
	}
	if err != nil {
		return nil, err
	}
	for _, old := range r.store.List() {
		if old.ID != f.ID {
			r.drop("an old snapshot", func() error { return r.store.Remove(old) })
		}
	}
	r.offerNewest()
	return r.read(ctx, f)
}

// read reads a snapshot into a table beside the one that is shown or, where there is no memory for two, in its place. What can't be
// read is removed.
func (r *Replica) read(ctx context.Context, f snapshot.File) (*track, error) {
	t, load := new(cache.Table), r.store.Load
	if !r.reserve(f.Size()) {
		t, load = r.shown.table, r.store.Replace
		r.suspect(t, "the table is being replaced in place, for there is no memory for two")
		if !sleep(ctx, vouchedFor) { // a scan that was begun before may look something up yet
			return nil, ctx.Err()
		}
	}
	if err := load(f, t); err != nil {
		r.drop("a snapshot", func() error { return r.store.Remove(f) })
		return nil, fmt.Errorf("%w: %w", errLoad, err)
	}
	k := trackOf(t, "snapshot "+f.ID, func() error { return r.store.Remove(f) })
	k.epoch = f.Epoch
	return k, nil
}

// trackOf is a table that stands where its position says.
func trackOf(t *cache.Table, source string, drop func() error) *track {
	at := t.Position()
	return &track{table: t, source: source, drop: drop, at: at, sure: at, seq: at.Offset}
}

// offerNewest offers the newest snapshot on disk to other edges.
func (r *Replica) offerNewest() {
	if files := r.store.List(); len(files) > 0 {
		r.peers.Offer(files[0])
		moved(r.news)
	}
}
