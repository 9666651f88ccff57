package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
)

// batchDeltas is how many deltas of a change of the whole table are appended at once: other pushes wait for no more than that.
const batchDeltas = 200_000

// target is a table that an issuer's is to become: what a replacement's file says, or what held at an offset. It takes as much memory
// as a table does, some 16 bytes a subject outside the Go heap, and a copy of two shards while it is compared.
type target struct {
	table cache.Table
	rows  int // of a replacement's file
}

// think makes o.thinking this request's, or says that it is another's. The memory of what it thought of is given back by done.
func (o *Origin) think() (done func(), problem *scanedge.Problem) {
	select {
	case o.thinking <- struct{}{}:
		return func() {
			runtime.GC() // a table's memory goes when it is collected, and what lies on the heap is too little to bring that about
			<-o.thinking
		}, nil
	default:
		return nil, scanedge.NewProblem(scanedge.Busy,
			"a replacement or a rollback is under way, and each takes the memory of a second table; ask again")
	}
}

// compare calls emit for each delta that makes now what then is, a shard after the other, and counts them. Beside pushes it finds the
// subjects of each shard as they are at some moment of the call.
func compare(now, then *cache.Table, emit func(cache.Delta) error) (t tally, err error) {
	var have, want []cache.Delta
	for i := range cache.Shards {
		have, want = now.AppendShard(have[:0], i), then.AppendShard(want[:0], i)
		t.before += len(have)
		err = lookUp(now, want, func(d cache.Delta, is cache.Record) error {
			if t.add(is, d.Record); is != d.Record {
				return emit(d)
			}
			return nil
		})
		if err == nil {
			err = lookUp(then, have, func(d cache.Delta, will cache.Record) error {
				if will != cache.Removed {
					return nil
				}
				t.add(d.Record, cache.Removed)
				return emit(cache.Delta{Key: d.Key, Record: cache.Removed})
			})
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// lookUp calls f for subjects with the records that a table has of them.
func lookUp(table *cache.Table, subjects []cache.Delta, f func(cache.Delta, cache.Record) error) error {
	var keys [256]cache.Key
	var records [256]cache.Record
	for len(subjects) > 0 {
		n := min(len(subjects), len(keys))
		for i, d := range subjects[:n] {
			keys[i] = d.Key
		}
		table.LookupMany(keys[:n], records[:n])
		for i, d := range subjects[:n] {
			if err := f(d, records[i]); err != nil {
				return err
			}
		}
		subjects = subjects[n:]
	}
	return nil
}

// preview is what it would do to the issuer's table to become the target.
func (w *writer) preview(then *target) scanedge.Preview {
	last := w.past.lastBatch() // before the table is looked at: a push meanwhile is one since then
	t, _ := compare(&w.table, &then.table, func(cache.Delta) error { return nil })
	weight := t.weight()
	return scanedge.Preview{
		Offset: last, Digest: then.table.Digest().String(), Rows: then.rows, After: then.table.Len(), Figures: t.figures(),
		Held: w.maxChange().Exceeded(weight.bad, weight.all, t.before), MaxChange: w.maxChange(),
	}
}

// become appends what makes the issuer's table the target. Each batch names the one before it, the first the one that the preview was
// of: so nobody's push is overwritten unseen.
type become struct {
	w     *writer
	ctx   context.Context
	asked asked
	last  uint64
	batch []cache.Delta
	done  int
}

func (b *become) emit(d cache.Delta) error {
	if b.batch = append(b.batch, d); len(b.batch) < batchDeltas {
		return nil
	}
	return b.flush()
}

func (b *become) flush() error {
	if len(b.batch) == 0 {
		return nil
	}
	p, err := newPush(b.w, b.asked.info, b.batch, &b.last)
	if err != nil {
		return err
	}
	p.from, p.consent = b.asked.from, pusher
	out := b.w.submit(b.ctx, p)
	if out.err != nil {
		return out.err
	}
	b.last, b.batch, b.done = out.receipt.Offset, b.batch[:0], b.done+1
	return nil
}

// makeIt makes the issuer's table the target, if a's If-Match and digest are those of a preview. It goes on though the asker hangs up.
func (w *writer) makeIt(ctx context.Context, a asked, digest string, then *target) (scanedge.Applied, *scanedge.Problem) {
	if now := then.table.Digest().String(); now != digest {
		return scanedge.Applied{}, scanedge.NewProblem(scanedge.PreviewDiffers, fmt.Sprintf("the table would have digest %s, not the %s that "+
			"was shown; nothing was applied. Look at a new preview", now, digest))
	}
	b := &become{w: w, ctx: context.WithoutCancel(ctx), asked: a, last: *a.ifMatch}
	err := error(nil)
	if now := w.past.lastBatch(); now != b.last {
		err = movedError{now}
	}
	if err == nil && a.charge != nil { // before anything is applied
		t, _ := compare(&w.table, &then.table, func(cache.Delta) error { return nil })
		if problem := a.charge(t.changes()); problem != nil {
			return scanedge.Applied{}, problem
		}
	}
	var t tally
	if err == nil {
		t, err = compare(&w.table, &then.table, b.emit)
	}
	if err == nil {
		err = b.flush()
	}
	if err != nil {
		return scanedge.Applied{}, b.refusal(err)
	}
	return scanedge.Applied{Offset: b.last, Batches: b.done, Figures: t.figures()}, nil
}

// refusal says why not all was applied, and what was.
func (b *become) refusal(err error) *scanedge.Problem {
	said := "nothing was applied"
	if b.done > 0 {
		said = fmt.Sprintf("%d batches of it were applied, the last at offset %d, and what is left was not", b.done, b.last)
	}
	if moved := (movedError{}); errors.As(err, &moved) {
		return scanedge.NewProblem(scanedge.OffsetMoved, fmt.Sprintf("somebody else pushed: the last batch has offset %d, not %d; %s. Look at a "+
			"new preview", moved.now, b.last, said))
	}
	b.w.logger.Error("a change of the whole table was not applied to its end", "batches", b.done, "err", err)
	return scanedge.NewProblem(scanedge.LogUnavailable, fmt.Sprintf("%v; %s. Look at a new preview: what was applied is no difference any more", err, said))
}

// serveReplace answers a push whose body is the whole table: a preview, or, with the If-Match and the digest of one, the change.
func (o *Origin) serveReplace(rw http.ResponseWriter, req *http.Request, dry bool) {
	a, problem := o.asked(rw, req)
	digest, accepted := single(req.Header, "Scanedge-Digest")
	switch {
	case problem != nil:
	case a.info.Key != "" || a.run != "":
		problem = scanedge.NewProblem(scanedge.BadRequest, "a replacement takes neither Idempotency-Key nor Scanedge-Run: made again it finds "+
			"no difference")
	case !dry && (!accepted || a.ifMatch == nil):
		problem = scanedge.NewProblem(scanedge.BadRequest, "look at a preview first, with dry_run=1; then send its offset as If-Match and its "+
			"digest as Scanedge-Digest")
	}
	if problem == nil && !dry {
		problem = spent(rw, a.token)
	}
	var done func()
	if problem == nil {
		done, problem = o.think()
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	defer done()
	then, problem := o.readTarget(rw, req, a)
	if problem != nil {
		problem.Write(rw)
		return
	}
	a.charge = func(n int) *scanedge.Problem { return chargeChanges(rw, a.token, n) }
	if dry {
		writeJSON(rw, a.w.preview(then))
		return
	}
	a.info.Note = joined("replacement", a.info.Note)
	o.answer(rw, req, a, digest, then)
}

// answer applies a change of the whole table and says so.
func (o *Origin) answer(rw http.ResponseWriter, req *http.Request, a asked, digest string, then *target) {
	applied, problem := a.w.makeIt(req.Context(), a, digest, then)
	if problem != nil {
		problem.Write(rw)
		return
	}
	a.w.logger.Warn("the whole table was changed", "note", a.info.Note, a.from.by(), "offset", applied.Offset,
		"figures", applied.Figures.String())
	writeJSON(rw, applied)
}

// joined is a note behind a word, as far as there is room.
func joined(word, note string) string {
	if note == "" {
		return word
	}
	return (word + ": " + note)[:min(maxNote, len(word)+2+len(note))]
}
