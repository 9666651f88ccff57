package origin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/durable"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// How snapshots are kept. Tests are quicker.
var (
	snapshotLook  = 5 * time.Second // how often it is looked whether one is due
	snapshotRetry = time.Minute     // after one failed
	snapshotWorth = uint64(256 << 20)
)

// What a subject takes in a snapshot, and what its shards round up, in bytes: a snapshot that did not fit would fill the log's disk
// before it failed.
const (
	snapshotSubject = 14
	snapshotRounds  = 2 << 20
)

// transfers is how many edges at once are sent a snapshot by the origin; the others wait for those.
const transfers = 2

// rebuild makes the table and the past what was acknowledged: from the newest snapshot that loads, else the one before, and the log
// after it; without a snapshot, from the whole log. It never makes less of them.
func (w *writer) rebuild(ctx context.Context, store *snapshot.Store) error {
	why, err := w.load(store)
	if err != nil {
		return err
	}
	began := w.at
	err = w.replay(ctx)
	if err == nil {
		err = w.checkWhole()
	}
	if err == nil && w.at.Offset == 0 {
		err = checkNew(store)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errLess), errors.Is(err, deltalog.ErrRewound):
		return fmt.Errorf("rebuild the table of %s: the log ends before the place of its snapshot, %s: it was made anew or restored "+
			"from an older copy; restore one that is as new as %s, or move that folder away to give up what was acknowledged since: %w",
			w.secret.ID, began, store.Dir(), err)
	case errors.Is(err, errGone):
		return fmt.Errorf("rebuild the table of %s: %w; bring the log back, or move %s away to begin with an empty table", w.secret.ID, err,
			store.Dir())
	case errors.Is(err, issuer.ErrHole):
		return fmt.Errorf("rebuild the table of %s: the log was trimmed and no longer has what follows %s; restore %s from a backup "+
			"that is no older than the log: %w", w.secret.ID, began, store.Dir(), errors.Join(err, why))
	}
	return fmt.Errorf("rebuild the table of %s: %w", w.secret.ID, err)
}

// errLess is the error of a log that has less than was acknowledged.
var errLess = errors.New("the log has less than was acknowledged")

// load fills the table and the past from the newest snapshot that is whole, if there is one. skipped says why others are not.
func (w *writer) load(store *snapshot.Store) (skipped, err error) {
	skipped = store.Refused()
	for _, f := range store.List() {
		state, err := store.State(f)
		if err == nil {
			err = store.Load(f, &w.table)
		}
		if err != nil {
			w.logger.Error("a snapshot does not load; trying the one before", "err", err)
			skipped = errors.Join(skipped, err)
			continue
		}
		if err := w.past.restore(state); err != nil { // it is whole: another scanedge wrote it
			return nil, fmt.Errorf("load the snapshot of %s at %s: %w; run the release that wrote it", w.secret.ID, f.Began, err)
		}
		w.at, w.last = f.Began, f.Began.Offset
		w.offset.Store(f.Began.Offset)
		w.loaded = f.Began.Offset
		break
	}
	return skipped, nil
}

// checkWhole reports whether the log lacked something, so that no record told of it.
func (w *writer) checkWhole() error {
	switch {
	case w.last < w.at.Offset, !w.table.Exact():
		return fmt.Errorf("%w: it ends at %d", errLess, w.last)
	case w.last > 0 && w.at.Offset == 0:
		return fmt.Errorf("%w: all of them", issuer.ErrHole)
	}
	return nil
}

// errGone is the error of a log that was there and has nothing, before a first snapshot could tell.
var errGone = errors.New("its log has been written to, and is empty now")

// begun is the file in the folder of an issuer's snapshots by which a log that is gone is told from one that is new.
const begun = "begun"

func checkNew(store *snapshot.Store) error {
	switch _, err := os.Stat(filepath.Join(store.Dir(), begun)); {
	case err == nil:
		return errGone
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return err
	}
}

// markBegun is called when the log has a first record.
func markBegun(store *snapshot.Store) error {
	path := filepath.Join(store.Dir(), begun)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return durable.WriteFile(path, nil)
}

// snapshots are those of an issuer.
type snapshots struct {
	w      *writer
	epoch  uint64
	store  *snapshot.Store
	server *snapshot.Server
	every  time.Duration // unless the issuer says otherwise; 0: only when the log has grown
	began  time.Time

	newest atomic.Pointer[snapshot.File] // nil: none was written yet
	before atomic.Pointer[snapshot.File] // that which it replaced

	logBytes, logFirst, logLast atomic.Uint64         // as they were looked up last
	trouble                     atomic.Pointer[error] // why the last look came to nothing; nil: it did not

	held sync.RWMutex // held to read by backups: what follows a snapshot that they have chosen stays in the log

	// The origin's goroutine for snapshots.
	failed   time.Time
	failures *metrics.Counter
}

// newSnapshots offers those that are there, but for any that did not load. w must be open.
func newSnapshots(w *writer, store *snapshot.Store, server *snapshot.Server, every time.Duration, set *metrics.Set) *snapshots {
	s := &snapshots{w: w, epoch: w.epoch, store: store, server: server, every: every, began: time.Now()}
	files := slices.DeleteFunc(store.List(), func(f snapshot.File) bool { return f.Began.Offset > w.loaded })
	for i := min(len(files), 2) - 1; i >= 0; i-- {
		s.offer(files[i])
	}
	label := fmt.Sprintf("{issuer=%q}", w.secret.ID)
	s.failures = set.NewCounter("scanedge_snapshot_failures_total" + label)
	set.NewGauge("scanedge_log_bytes"+label, func() float64 { return float64(s.logBytes.Load()) })
	set.NewGauge("scanedge_snapshot_offset"+label, func() float64 {
		if f := s.newest.Load(); f != nil {
			return float64(f.Began.Offset)
		}
		return 0
	})
	set.NewGauge("scanedge_snapshot_age_seconds"+label, func() float64 {
		if f := s.newest.Load(); f != nil {
			return time.Since(f.Time).Seconds()
		}
		return math.NaN()
	})
	return s
}

func (s *snapshots) offer(f snapshot.File) {
	s.before.Store(s.newest.Swap(&f))
	s.server.Offer(f)
}

// keepSnapshots writes the snapshots of all issuers that are due, one at a time, until ctx ends.
func (o *Origin) keepSnapshots(ctx context.Context) {
	every := snapshotLook
	if o.cfg.SnapshotEvery > 0 {
		every = min(every, max(o.cfg.SnapshotEvery, snapshotLook/5))
	}
	soon := time.After(every / 5) // an origin that is killed again and again gets on all the same
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-soon:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, w := range o.sorted() {
			w.snapshots.look(ctx)
		}
	}
}

// look writes a snapshot if one is due.
func (s *snapshots) look(ctx context.Context) {
	due, err := s.due(ctx)
	if err == nil && due {
		err = s.take(ctx)
	}
	if err == nil && time.Since(s.failed) >= snapshotRetry {
		s.trouble.Store(nil)
	}
	if err != nil && ctx.Err() == nil {
		s.trouble.Store(&err)
		s.failed = time.Now()
		s.failures.Inc()
		s.w.logger.Error("no new snapshot; those before are kept, and so is the log after them, which grows: look after the disk of "+
			"the data folder", "again in", snapshotRetry, "err", err)
	}
}

// due reports whether the table moved since the newest snapshot, and long enough ago or by enough.
func (s *snapshots) due(ctx context.Context) (bool, error) {
	if time.Since(s.failed) < snapshotRetry {
		return false, nil
	}
	first, last, bytes, err := s.w.log.Bounds(ctx)
	if err != nil {
		return false, err
	}
	s.logBytes.Store(bytes)
	s.logFirst.Store(first)
	s.logLast.Store(last)
	since, from, worth := s.began, uint64(0), snapshotWorth
	if f := s.newest.Load(); f != nil {
		if s.w.table.Position() == f.Began {
			return false, nil
		}
		since, from, worth = f.Time, f.Began.Offset, max(worth, uint64(f.Size()))
	}
	every := s.period()
	age := time.Since(since) // negative when the clock was set back
	return every > 0 && (age >= every || age < 0) || behind(first, last, bytes, from) > worth, nil
}

// period is the age at which a snapshot is replaced; 0: only when the log has grown.
func (s *snapshots) period() time.Duration {
	if own := s.w.secret.Policy().SnapshotEverySeconds; own > 0 {
		return time.Duration(own) * time.Second
	}
	return s.every
}

// overdue is by how much the newest snapshot is older than twice its period, though the table moved since.
func (s *snapshots) overdue(now time.Time) time.Duration {
	since := s.began
	if f := s.newest.Load(); f != nil {
		if s.w.table.Position() == f.Began {
			return 0
		}
		if f.Time.After(since) { // one that was away could write none
			since = f.Time
		}
	}
	if s.period() == 0 {
		return 0
	}
	return max(0, now.Sub(since)-2*max(s.period(), snapshotRetry))
}

// behind estimates how many of a log's bytes lie behind a place, as if its messages were equal.
func behind(first, last, bytes, place uint64) uint64 {
	if last < first {
		return 0
	}
	held := last - first + 1
	hi, lo := bits.Mul64(bytes, min(held, last-min(last, place)))
	n, _ := bits.Div64(hi, lo, held) // hi < held, for what is behind is no more than all
	return n
}

// take writes a snapshot, and gives up what it makes needless.
func (s *snapshots) take(ctx context.Context) error {
	began := time.Now()
	if err := s.w.disk.check(int64(s.w.table.Len())*snapshotSubject+snapshotRounds, forSnapshots); err != nil {
		return fmt.Errorf("write a snapshot of %s: %w", s.w.secret.ID, err)
	}
	f, err := s.store.Write(ctx, &s.w.table, s.w.secret, s.epoch, s.w.past.state)
	if err != nil {
		return err
	}
	s.offer(f)
	s.w.logger.Info("snapshot written", "id", f.ID, "offset", f.Began.Offset, "bytes", f.Size(), "took", time.Since(began))
	return s.tidy(ctx)
}

// tidy keeps the two newest snapshots, and trims the log behind the older of them: so who begins with that one can follow, and if
// the newest should not load there is another way. Beside a backup it does nothing; the next time will do. The older is read again
// before the log behind it goes; when it is not what was signed it is removed, and the one before takes its place.
func (s *snapshots) tidy(ctx context.Context) error {
	if !s.held.TryLock() {
		return nil
	}
	defer s.held.Unlock()
	files := s.store.List()
	for len(files) > 1 {
		err := s.store.Check(files[1])
		if err == nil {
			_, err = s.store.State(files[1])
		}
		if err == nil {
			break
		}
		s.w.logger.Error("a snapshot is damaged; removing it", "err", err)
		if err := s.store.Remove(files[1]); err != nil {
			return err
		}
		files = append(files[:1], files[2:]...)
	}
	if len(files) < 2 {
		return nil
	}
	for _, f := range files[2:] {
		if err := s.store.Remove(f); err != nil {
			return err
		}
	}
	return s.w.log.Trim(ctx, files[1].Began.Offset)
}
