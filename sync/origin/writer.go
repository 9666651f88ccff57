package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

const (
	beatEvery    = time.Second
	appendWithin = 30 * time.Second // one append, fsyncs included
	reignTries   = 3                // at a start; each reads the log's tail first
)

// appendBounds are those of the times that appends take, in seconds: from a fast disk to one that is given up.
var appendBounds = []float64{.0005, .001, .002, .003, .005, .0075, .01, .02, .05, .1, .25, .5, 1, 5, 30}

// missesFor is for how long the log may take nothing until it is given up: longer than a cluster needs for another leader. Tests are
// quicker.
var missesFor = 20 * time.Second

// The reasons for which a writer ends its origin at once.
var (
	errDeposed = errors.New("another origin has begun to write this log: run one origin only")
	errRemade  = errors.New("the log holds less than this origin has acknowledged: it was deleted, made anew or restored from an " +
		"older copy; bring back the whole log, then start the origin again")
)

// writer is the one goroutine that appends to an issuer's log and applies to its table.
type writer struct {
	secret  *issuer.Secret
	log     *deltalog.Log
	logger  *slog.Logger
	stopped chan struct{} // closed when run returns: nobody takes pushes any more

	// Pushes that wait for their turn: those that share an append, and those that get one of their own.
	pushes, bulk chan *push

	table  cache.Table   // written by run alone
	past   past          // written by run alone
	tail   *tail         // written by run alone
	offset atomic.Uint64 // of the last chained record, for others to read

	// run's own.
	epoch    uint64         // of this reign, 0 before it
	at       cache.Position // the last record of the chain
	last     uint64         // the log's last sequence, beats included
	unsure   bool           // an append failed: the log may hold more than at and last say
	awaited  []link         // what that append may have stored, and replay has not met
	accounts accounts       // what was pushed of late, for max_change
	over     overlay        // empty but while a group is decided on
	loaded   uint64         // where the snapshot was begun that the table was rebuilt from, 0 if there was none
	missed   time.Time      // when the log first did not take an append or a beat, of those in a row; zero if it took the last

	disk *disk // that of the log

	// To the log and from it: AppendGroup and Replay. Tests make them fail.
	append func(ctx context.Context, after uint64, records [][]byte) error
	read   func(ctx context.Context, after uint64, each func(deltalog.Entry) error) (last uint64, err error)

	broken func(error) // called when the log takes no more, perhaps again and again

	held      *held
	snapshots *snapshots
	followers atomic.Int64          // edges
	ailing    atomic.Pointer[error] // why the log did not take what it was given last; nil: it did
	deltas    *metrics.Counter
	appends   *metrics.PrometheusHistogram // of pushes, in seconds: until the log had them on disk and the table showed them
}

// openWriter makes the issuer's log if need be and rebuilds the table from it, and from a snapshot if there is one. restored is the
// snapshot's mark if it was restored.
func openWriter(ctx context.Context, conn *deltalog.Conn, secret *issuer.Secret, store *snapshot.Store, restored mark, d *disk,
	logger *slog.Logger, set *metrics.Set) (*writer, error) {
	log, err := conn.Create(ctx, secret.ID)
	if err == nil && restored.First > 0 {
		err = log.Begin(ctx, restored.First)
	}
	if err != nil {
		return nil, err
	}
	w := &writer{
		secret: secret, log: log, tail: newTail(), logger: logger, stopped: make(chan struct{}), pushes: make(chan *push), bulk: make(chan *push),
		disk: d, append: log.AppendGroup, read: log.Replay, over: overlay{},
	}
	label := fmt.Sprintf("{issuer=%q}", secret.ID)
	w.deltas = set.GetOrCreateCounter("scanedge_deltas_total" + label)
	w.appends = set.GetOrCreatePrometheusHistogramExt("scanedge_append_seconds"+label, appendBounds)

	began := time.Now()
	if err := w.rebuild(ctx, store); err != nil {
		return nil, err
	}
	if restored.First > 0 {
		w.past.epoch = max(w.past.epoch, restored.First-1) // the next reign is later than any of the time that was lost
	}
	w.tail.reset(w.at.Offset)
	if err := w.reign(ctx); err != nil {
		return nil, err
	}
	if err := markBegun(store); err != nil {
		return nil, err
	}
	logger.Info("table rebuilt", "subjects", w.table.Len(), "offset", w.at.Offset, "epoch", w.epoch, "took", time.Since(began))
	return w, nil
}

// measure shows the writer in the metrics, where each name has one place: it is called once no step is left that may fail and be tried again.
func (w *writer) measure(set *metrics.Set) {
	label := fmt.Sprintf("{issuer=%q}", w.secret.ID)
	set.NewGauge("scanedge_offset"+label, func() float64 { return float64(w.offset.Load()) })
	set.NewGauge("scanedge_subjects"+label, func() float64 { return float64(w.table.Len()) })
	set.NewGauge("scanedge_followers"+label, func() float64 { return float64(w.followers.Load()) })
	set.NewGauge("scanedge_idempotency_keys"+label, func() float64 { return float64(w.past.len()) })
	set.NewGauge("scanedge_held_pushes"+label, func() float64 { return float64(len(w.held.all())) })
}

// run takes pushes and beats until ctx ends. A beat that is due goes first, and after a bulk push those that waited beside it.
func (w *writer) run(ctx context.Context) {
	defer close(w.stopped)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	w.beat()
	for {
		select {
		case <-tick.C:
			w.beat()
		default:
		}
		select {
		case p := <-w.pushes:
			w.commit(w.gather(p))
		case p := <-w.bulk:
			w.commit([]*push{p})
			w.commit(w.gather())
		case <-tick.C:
			w.beat()
		case <-ctx.Done():
			return
		}
	}
}

// took counts what the log did not take, and gives up on it when that was all for a while. A full disk is waited for.
func (w *writer) took(err error) {
	if err == nil {
		w.ailing.Store(nil)
	} else {
		w.ailing.Store(&err)
	}
	switch {
	case err == nil:
		w.missed = time.Time{}
	case errors.Is(err, errDeposed), errors.Is(err, errRemade):
		w.broken(fmt.Errorf("the log of %s: %w", w.secret.ID, err))
	case !errors.Is(err, deltalog.ErrFull):
		if w.missed.IsZero() {
			w.missed = time.Now()
		} else if time.Since(w.missed) >= missesFor {
			w.broken(fmt.Errorf("the log of %s takes no more: %w; look after the disk of the data folder, then start the origin again",
				w.secret.ID, err))
		}
	}
}

// link is a record of the chain: on its way into the log, or read from it.
type link struct {
	at    cache.Position // where it is stored, and its hash
	head  issuer.Head
	batch delta.Batch // of a batch
	sum   delta.Sum   // of a batch that has a key
}

// apply makes a stored record part of the past and of the table, in this order: a snapshot that is begun in between knows more
// pushes than it must, never fewer.
func (w *writer) apply(l link) {
	w.past.learn(l)
	if l.head.Kind == issuer.Batch {
		l.batch.Apply(&w.table, l.at)
	} else {
		w.table.Begin(l.at)
		w.table.End()
	}
	w.at, w.last = l.at, l.at.Offset
	w.offset.Store(l.at.Offset)
}

// store appends the records of a chain, in order, and applies them. After an error the first so many are in the log and no others,
// unless the log can't even be read: then more of them may turn up there when it is back.
func (w *writer) store(ctx context.Context, c *chain) (stored int, err error) {
	for stored < len(c.links) {
		n := len(c.links) - stored
		if n < groupWorth {
			n = 1
		}
		links := c.links[stored : stored+n]
		if err := w.append(ctx, w.last, c.records[stored:stored+n]); err != nil {
			landed, err := w.settle(err, links)
			if stored += landed; err != nil {
				return stored, err
			}
			continue
		}
		w.tail.add(time.Now(), true, c.records[stored:stored+n]...)
		for _, l := range links {
			w.apply(l)
		}
		stored += n
	}
	return stored, nil
}

// settle finds out how many of some links are in the log whose append failed: it may have happened all the same. It applies those,
// and returns an error if they are not all.
func (w *writer) settle(cause error, links []link) (landed int, err error) {
	w.unsure, w.awaited = true, links
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	err = w.sure(ctx)
	landed = len(links) - len(w.awaited)
	w.awaited = nil
	if landed == len(links) {
		return landed, nil
	}
	return landed, errors.Join(cause, err)
}

// beat tells every follower what the table holds here. An origin that can't write can't beat.
func (w *writer) beat() {
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	began := time.Now()
	err := w.sure(ctx)
	var record []byte
	if err == nil {
		head := issuer.Head{Kind: issuer.Beat, Issuer: w.secret.ID, Epoch: w.epoch, Offset: w.last + 1, Prev: w.at, Time: time.Now()}
		record, _ = issuer.Sign(delta.AppendBeat(issuer.AppendHead(nil, head), delta.BeatOf(&w.table)), w.secret.Key)
		if err = w.log.AppendBeat(ctx, w.last, record); err != nil {
			w.unsure = true
		}
	}
	w.took(err)
	if err != nil {
		w.logger.Error("no beat: the log did not take it; edges will stop vouching", "err", err)
		if errors.Is(err, deltalog.ErrFull) {
			w.disk.heal(began)
		}
		return
	}
	w.tail.add(time.Now(), false, record)
	w.last++
}

// sure makes at, last, the table and the past true again after a failed append.
func (w *writer) sure(ctx context.Context) error {
	if !w.unsure {
		return nil
	}
	err := w.replay(ctx)
	if errors.Is(err, deltalog.ErrRewound) || errors.Is(err, deltalog.ErrGone) {
		return fmt.Errorf("%w (%w)", errRemade, err)
	}
	if err == nil && w.epoch != 0 && w.past.epoch != w.epoch {
		err = fmt.Errorf("%w (epoch %d, after this one's %d)", errDeposed, w.past.epoch, w.epoch)
	}
	if err != nil {
		return err
	}
	w.unsure = false
	w.tail.reset(w.at.Offset)
	w.logger.Info("the log's end is known again", "offset", w.at.Offset)
	return nil
}

// replay reads what the log holds past last and applies it. Each record carries the hash of the one before, so at a start, which
// fails as a whole, the signature of the last one speaks for all.
func (w *writer) replay(ctx context.Context) error {
	var newest []byte
	each := func(e deltalog.Entry) error {
		head, body, hash, err := issuer.Open(e.Record)
		if err != nil {
			return fmt.Errorf("sequence %d: %w", e.Seq, err)
		}
		if !head.Kind.Chained() {
			return nil
		}
		if w.unsure { // or the next call would go on from what this one took and found unsigned at its end
			err = issuer.Verify(e.Record, hash, w.secret.Public().Key)
		}
		if err == nil {
			err = w.replayRecord(e, head, body, hash)
		}
		if err != nil {
			return fmt.Errorf("sequence %d: %w", e.Seq, err)
		}
		newest = e.Record
		return nil
	}
	var last uint64
	read := func() (err error) { last, err = w.read(ctx, w.last, each); return err }
	var err error
	if w.epoch == 0 { // at a start; what is cut off goes on behind the last record that it took
		err = w.log.Patiently(ctx, read)
	} else {
		err = read()
	}
	if err == nil && newest != nil {
		err = issuer.Verify(newest, w.at.Hash, w.secret.Public().Key)
	}
	if err != nil {
		return err
	}
	w.last = last
	return nil
}

func (w *writer) replayRecord(e deltalog.Entry, head issuer.Head, body []byte, hash issuer.Hash) error {
	l, err := w.linkOf(e, head, body, hash)
	if err != nil {
		return err
	}
	w.apply(l)
	if len(w.awaited) > 0 && w.awaited[0].at == l.at {
		w.awaited = w.awaited[1:]
	}
	return nil
}

// linkOf holds a record to the past, which it is to follow.
func (w *writer) linkOf(e deltalog.Entry, head issuer.Head, body []byte, hash issuer.Hash) (l link, err error) {
	if err := head.Follows(w.at, w.secret.ID, e.Seq); err != nil {
		return l, err
	}
	if err := w.past.checkEpoch(head); err != nil {
		return l, err
	}
	l = link{at: cache.Position{Offset: e.Seq, Hash: hash}, head: head}
	if head.Kind == issuer.Batch {
		if l.batch, err = delta.ParseBatch(body); err != nil {
			return l, err
		}
		if l.batch.Key != "" {
			l.sum = l.batch.Sum()
		}
	}
	return l, nil
}

// reign begins a new epoch: what an origin that was before still has under way can't be taken for this one's.
func (w *writer) reign(ctx context.Context) (err error) {
	for range reignTries {
		if err = w.sure(ctx); err != nil {
			break // it was patient
		}
		c := w.chain()
		c.epoch = w.past.epoch + 1
		c.add(issuer.Reign, issuer.AppendHead(nil, issuer.Head{Issuer: w.secret.ID}), nil)
		if err = w.append(ctx, w.last, c.records); err == nil {
			w.tail.add(time.Now(), true, c.records...)
			w.apply(c.links[0])
			w.epoch = c.epoch
			return nil
		}
		w.unsure = true
	}
	return fmt.Errorf("begin to write: %w", err)
}
