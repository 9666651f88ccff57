package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// rollback is the body of POST /v1/issuers/{issuer}/rollback: with dry_run a preview is asked for; without, offset and digest are
// those of the preview that was accepted.
type rollback struct {
	To     *uint64 `json:"to"`
	DryRun bool    `json:"dry_run"`
	Offset *uint64 `json:"offset"`
	Digest string  `json:"digest"`
	Note   string  `json:"note"`
}

// serveRollback brings back what held at an offset, by a push of the differences.
func (o *Origin) serveRollback(rw http.ResponseWriter, req *http.Request) {
	r, a, problem := o.rollbackAsked(rw, req)
	var done func()
	if problem == nil {
		done, problem = o.think()
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	defer done()
	then, problem := a.w.tableAt(req.Context(), *r.To)
	switch {
	case problem != nil:
		problem.Write(rw)
	case r.DryRun:
		writeJSON(rw, a.w.preview(then))
	default:
		a.info.Note = joined(fmt.Sprintf("rollback to offset %d", *r.To), r.Note)
		o.answer(rw, req, a, r.Digest, then)
	}
}

func (o *Origin) rollbackAsked(rw http.ResponseWriter, req *http.Request) (r rollback, a asked, problem *scanedge.Problem) {
	if a.w, problem = o.issuer(req); problem != nil {
		return r, a, problem
	}
	const expected = `a rollback is asked for as {"to":OFFSET,"dry_run":true}`
	if problem := readJSON(rw, req, maxOrder, expected, &r); problem != nil {
		return r, a, problem
	}
	var err error
	switch {
	case r.To == nil:
		err = errors.New("to is missing: the offset to go back to")
	case !r.DryRun && (r.Offset == nil || r.Digest == ""):
		err = errors.New("look at a preview first, with dry_run true; then send its offset and digest")
	case !validNote("", r.Note):
		err = fmt.Errorf("the note is not up to %d bytes of UTF-8 without control characters", maxNote)
	}
	if err != nil {
		return r, a, unexpected(expected, err)
	}
	if last := a.w.past.lastBatch(); *r.To > last {
		return r, a, scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("the last batch has offset %d; give an offset up to it, not %d", last, *r.To))
	}
	a.from = o.operator(req)
	a.info.Pusher, a.ifMatch = a.from.name, r.Offset
	return r, a, nil
}

// errTrimmed is the error of a past that neither snapshots nor the log tell.
var errTrimmed = errors.New("it was trimmed")

// tableAt is the table as it was when the batch at an offset, or the last before it, had been put: the newest snapshot that was whole by
// then, and the log from there.
func (w *writer) tableAt(ctx context.Context, to uint64) (*target, *scanedge.Problem) {
	then := new(target)
	at := cache.Position{}
	for _, f := range w.snapshots.store.List() {
		if f.To > to { // a snapshot is of one moment only with the batches up to there
			continue
		}
		err := w.snapshots.store.Load(f, &then.table)
		if err == nil {
			at = f.Began
			break
		}
		w.logger.Error("a snapshot does not load; trying the one before", "err", err)
	}
	err := w.replayInto(ctx, &then.table, at, to)
	switch {
	case err == nil:
		return then, nil
	case errors.Is(err, errTrimmed), errors.Is(err, issuer.ErrHole):
		return nil, w.tooFarBack(to)
	}
	if ctx.Err() == nil {
		w.logger.Error("no rollback", "to", to, "err", err)
	}
	return nil, scanedge.NewProblem(scanedge.LogUnavailable, "what held then could not be read; ask again")
}

// replayInto puts the log's batches after a position and up to an offset.
func (w *writer) replayInto(ctx context.Context, table *cache.Table, at cache.Position, to uint64) error {
	read := false
	_, err := w.log.Replay(ctx, at.Offset, func(e deltalog.Entry) error {
		head, body, hash, err := issuer.Open(e.Record)
		if err != nil || !head.Kind.Chained() {
			return err
		}
		if err := head.Follows(at, w.secret.ID, e.Seq); err != nil {
			return err
		}
		if read = true; e.Seq > to {
			return errEnough
		}
		at = cache.Position{Offset: e.Seq, Hash: hash}
		if head.Kind != issuer.Batch {
			return nil
		}
		b, err := delta.ParseBatch(body)
		if err != nil {
			return err
		}
		b.Apply(table, at)
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err == nil && !read && at.Offset == 0:
		return errTrimmed // every record, for the origin's reign is one
	}
	return err
}

func (w *writer) tooFarBack(to uint64) *scanedge.Problem {
	p := scanedge.NewProblem(scanedge.TooFarBack, fmt.Sprintf("what held at offset %d is kept in no snapshot, nor in the log", to))
	for _, f := range w.snapshots.store.List() { // the oldest comes last
		earliest := f.To
		p.Earliest = &earliest
	}
	if p.Earliest != nil {
		p.Detail += fmt.Sprintf("; the earliest offset that can be gone back to is %d", *p.Earliest)
	}
	return p
}
