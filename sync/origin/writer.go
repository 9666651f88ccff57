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
)

const (
	beatEvery    = time.Second
	appendWithin = 30 * time.Second // one append, fsync included
	maxMisses    = 2                // one may be a stall; a log that can't be written misses every beat
)

// push is a validated push on its way to the log.
type push struct {
	pusher string
	deltas []delta.Delta
	done   chan outcome // of one place: the writer never waits for the asker
}

type outcome struct {
	offset uint64
	err    error
}

var (
	errStopping = errors.New("the origin is stopping")
	errHungUp   = errors.New("the pusher hung up") // before the writer took its push: it is not in the log
)

// writer is the one goroutine that appends to an issuer's log and applies to its table.
type writer struct {
	secret  *issuer.Secret
	log     *deltalog.Log
	logger  *slog.Logger
	pushes  chan *push
	stopped chan struct{} // closed when run returns: nobody takes pushes any more

	table  cache.Table   // written by run alone
	offset atomic.Uint64 // of the last batch, for others to read

	// run's own.
	at     issuer.Position // the last batch in the chain
	last   uint64          // the log's last sequence, beats included
	unsure bool            // an append failed: the log may hold more than at and last say
	misses int             // appends and beats in a row that the log did not take

	broken func(error) // called when there are maxMisses of them

	deltas *metrics.Counter
}

// openWriter makes the issuer's log if need be and rebuilds the table from it.
func openWriter(ctx context.Context, conn *deltalog.Conn, secret *issuer.Secret, logger *slog.Logger, set *metrics.Set) (*writer, error) {
	log, err := conn.Create(ctx, secret.ID)
	if err != nil {
		return nil, err
	}
	w := &writer{secret: secret, log: log, logger: logger, pushes: make(chan *push), stopped: make(chan struct{})}
	label := fmt.Sprintf("{issuer=%q}", secret.ID)
	w.deltas = set.NewCounter("scanedge_deltas_total" + label)
	set.NewGauge("scanedge_offset"+label, func() float64 { return float64(w.offset.Load()) })
	set.NewGauge("scanedge_subjects"+label, func() float64 { return float64(w.table.Len()) })

	began := time.Now()
	if err := w.replay(ctx); err != nil {
		return nil, err
	}
	logger.Info("table rebuilt from the log", "subjects", w.table.Len(), "offset", w.at.Offset, "took", time.Since(began))
	return w, nil
}

// run takes pushes and beats until ctx ends.
func (w *writer) run(ctx context.Context) {
	defer close(w.stopped)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	w.beat()
	for {
		select {
		case p := <-w.pushes:
			offset, err := w.append(p)
			p.done <- outcome{offset, err}
			w.took(err)
		case <-tick.C:
			w.beat()
		case <-ctx.Done():
			return
		}
	}
}

// took counts what the log did not take, and gives up on it when that was all for a while.
func (w *writer) took(err error) {
	if err == nil {
		w.misses = 0
		return
	}
	if w.misses++; w.misses == maxMisses {
		w.broken(fmt.Errorf("the log of %s takes no more: %w; look after the disk of the data folder, then start the origin again",
			w.secret.ID, err))
	}
}

// submit hands a push to the writer and waits for its place in the log. It goes on waiting though the asker went away: the
// batch is in the writer's hands.
func (w *writer) submit(ctx context.Context, p *push) (uint64, error) {
	p.done = make(chan outcome, 1)
	select {
	case w.pushes <- p:
	case <-w.stopped:
		return 0, errStopping
	case <-ctx.Done():
		return 0, errHungUp
	}
	o := <-p.done
	return o.offset, o.err
}

// append stores a push as one batch and applies it. After an error it is not in the log, unless the log can't even be read:
// then it may turn up there, whole, when the log is back.
func (w *writer) append(p *push) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	if err := w.sure(ctx); err != nil {
		return 0, err
	}
	record, hash := w.batch(p)
	if err := w.log.Append(ctx, w.last, record); err != nil {
		return w.settle(err, hash)
	}
	w.last += deltalog.Pieces(len(record))
	for _, d := range p.deltas {
		w.table.Put(d.Key, d.Record)
	}
	w.arrive(issuer.Position{Offset: w.last, Hash: hash}, len(p.deltas))
	return w.last, nil
}

// settle finds out what became of a batch whose append failed: it may be stored all the same.
func (w *writer) settle(cause error, hash issuer.Hash) (uint64, error) {
	w.unsure = true
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	if err := w.sure(ctx); err != nil {
		return 0, errors.Join(cause, err)
	}
	if w.at.Hash == hash {
		return w.at.Offset, nil
	}
	return 0, cause
}

// batch makes the signed record of a push, to be stored right after what the log holds.
func (w *writer) batch(p *push) ([]byte, issuer.Hash) {
	head := issuer.Head{Kind: issuer.Batch, Issuer: w.secret.ID, Prev: w.at, Time: time.Now()}
	size := issuer.RecordSize(head, delta.BatchSize(p.pusher, len(p.deltas)))
	head.Offset = w.last + deltalog.Pieces(size)
	record := issuer.AppendHead(make([]byte, 0, size), head)
	return issuer.Sign(delta.AppendBatch(record, p.pusher, p.deltas), w.secret.Key)
}

// beat tells every follower what the table holds here. An origin that can't write can't beat.
func (w *writer) beat() {
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	err := w.sure(ctx)
	if err == nil {
		head := issuer.Head{Kind: issuer.Beat, Issuer: w.secret.ID, Offset: w.at.Offset, Prev: w.at, Time: time.Now()}
		record, _ := issuer.Sign(delta.AppendBeat(issuer.AppendHead(nil, head), delta.BeatOf(&w.table)), w.secret.Key)
		if err = w.log.AppendBeat(ctx, w.last, record); err != nil {
			w.unsure = true
		}
	}
	w.took(err)
	if err != nil {
		w.logger.Error("no beat: the log did not take it; edges will stop vouching", "err", err)
		return
	}
	w.last++
}

// sure makes at, last and the table true again after a failed append.
func (w *writer) sure(ctx context.Context) error {
	if !w.unsure {
		return nil
	}
	if err := w.replay(ctx); err != nil {
		return err
	}
	w.unsure = false
	w.logger.Info("the log's end is known again", "offset", w.at.Offset)
	return nil
}

// replay reads what the log holds past last and applies it. Each record carries the hash of the one before, so the signature
// of the last one speaks for all.
func (w *writer) replay(ctx context.Context) error {
	var newest []byte
	last, err := w.log.Replay(ctx, w.last, func(e deltalog.Entry) error {
		head, body, hash, err := issuer.Open(e.Record)
		if err == nil && head.Kind == issuer.Batch {
			newest = e.Record
			err = w.replayBatch(e, head, body, hash)
		}
		if err != nil {
			return fmt.Errorf("sequence %d: %w", e.Seq, err)
		}
		return nil
	})
	if err == nil && newest != nil {
		err = issuer.Verify(newest, w.at.Hash, w.secret.Public().Key)
	}
	if err != nil {
		return err
	}
	w.last = last
	return nil
}

func (w *writer) replayBatch(e deltalog.Entry, head issuer.Head, body []byte, hash issuer.Hash) error {
	if err := head.Follows(w.at, w.secret.ID, e.Seq); err != nil {
		return err
	}
	batch, err := delta.ParseBatch(body)
	if err != nil {
		return err
	}
	batch.Apply(&w.table)
	w.last = e.Seq
	w.arrive(issuer.Position{Offset: e.Seq, Hash: hash}, 0)
	return nil
}

// arrive makes p the last batch.
func (w *writer) arrive(p issuer.Position, pushed int) {
	w.at = p
	w.offset.Store(p.Offset)
	w.deltas.Add(pushed)
}
