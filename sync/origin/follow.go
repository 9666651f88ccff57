package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// sendAtOnce is how much of a record is sent at a time, each within slowEdge, in bytes.
const sendAtOnce = 64 << 10

// What edges that read the log make an origin hold, in bytes: all of them together, which is less in tests; and each, beside a
// record that is larger than half of it.
var readersRoom int64 = 256 << 20

const readerRoom = 4 << 20

// serveLog answers GET /v1/issuers/{issuer}/log?after=OFFSET: the log's records after an offset, framed, as they come, without end.
// Scanedge-Log-Last says where the log ended when it was asked. Beats are among them as far as they are no older than the tail.
//
// A follower at the log's end costs two goroutines and their connection's buffers, and shares the records with all others. If the
// last chunk is missing the answer was cut; an origin that stops ends it in good order.
func (o *Origin) serveLog(rw http.ResponseWriter, req *http.Request) {
	w, problem := o.issuer(req)
	var after, last uint64
	if problem == nil {
		after, last, problem = o.askedToFollow(w, req)
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	recordsHeader(rw)
	rw.Header().Set("Scanedge-Log-Last", strconv.FormatUint(last, 10))
	if req.Method == http.MethodHead {
		return
	}
	w.followers.Add(1)
	defer w.followers.Add(-1)
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(o.streams, cancel)()
	f := &follower{w: w, room: o.readers, rw: rw, conn: http.NewResponseController(rw), at: after}
	if err := f.run(ctx); o.streams.Err() == nil {
		w.logger.Debug("a follower is gone", "at", f.at, "err", err)
		panic(http.ErrAbortHandler)
	}
}

// askedToFollow reads a request to follow w's log, and asks where that ends: not what the writer knows, for another may write there.
func (o *Origin) askedToFollow(w *writer, req *http.Request) (after, last uint64, problem *scanedge.Problem) {
	if o.streams.Err() != nil || !o.Ready() {
		return 0, 0, scanedge.NewProblem(scanedge.NotReady, "the origin is not ready, or stops; ask again")
	}
	after, err := strconv.ParseUint(req.URL.Query().Get("after"), 10, 64)
	if err != nil {
		return 0, 0, scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("after=%s; give an offset, 0 for the log's start",
			req.URL.Query().Get("after")))
	}
	last, err = w.log.Last(req.Context())
	switch {
	case err != nil:
		w.logger.Error("a follower was refused: the log does not say where it ends", "err", err)
		return 0, 0, scanedge.NewProblem(scanedge.LogUnavailable, "the log could not be read; ask again")
	case after > last:
		return 0, 0, scanedge.NewProblem(scanedge.LogRewound, fmt.Sprintf("it ends at %d, before %d", last, after))
	}
	return after, last, nil
}

// follower is one edge that follows a log.
type follower struct {
	w    *writer
	room *semaphore.Weighted // of all that read logs
	rw   http.ResponseWriter
	conn *http.ResponseController
	at   uint64 // nothing up to here is to be sent any more
	held bool   // what was written may not be on its way yet
}

// run sends what there is, and what comes, until ctx ends or the edge takes no more. It flushes when no record waits.
func (f *follower) run(ctx context.Context) error {
	if err := f.flush(); err != nil { // the headers: the edge waits for them
		return err
	}
	for ctx.Err() == nil {
		next, base, changed := f.w.tail.next(f.at)
		var err error
		switch {
		case base > f.at:
			err = f.catchUp(ctx, base)
		case next.record != nil:
			err = issuer.WriteFrame(f, next.record)
			f.at = next.offset
		case f.held:
			err = f.flush()
		default:
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Write sends a part of a record, and gives up an edge that takes nothing.
func (f *follower) Write(b []byte) (sent int, err error) {
	f.held = true
	for sent < len(b) && err == nil {
		var n int
		_ = f.conn.SetWriteDeadline(time.Now().Add(slowEdge)) // a test's recorder has no deadlines
		n, err = f.rw.Write(b[sent:min(len(b), sent+sendAtOnce)])
		sent += n
	}
	return sent, err
}

func (f *follower) flush() error {
	f.held = false
	_ = f.conn.SetWriteDeadline(time.Now().Add(slowEdge))
	defer func() { _ = f.conn.SetWriteDeadline(time.Time{}) }() // a wait for what comes next is no fault of the edge
	return f.conn.Flush()
}

// errRoom is the error of a record that there is no room for beside what others read.
var errRoom = errors.New("other followers read the log")

// catchUp sends all that the log holds up to base, and what it finds beyond.
func (f *follower) catchUp(ctx context.Context, base uint64) error {
	for room := int64(readerRoom); room > 0; {
		if err := f.room.Acquire(ctx, room); err != nil {
			return err
		}
		var err error
		if room, err = f.read(ctx, room); err != nil {
			return err
		}
	}
	f.at = max(f.at, base) // what is not there by now was trimmed, which the chain tells
	return nil
}

// read sends what the log holds, with so much room, which it gives back. need is the room for a record that takes more than there is
// beside what others read: with that in hand nobody waits, for all could.
func (f *follower) read(ctx context.Context, room int64) (need int64, err error) {
	defer func() { f.room.Release(room) }()
	out := bufio.NewWriterSize(f, sendAtOnce)
	_, err = f.w.log.Replay(ctx, f.at, func(e deltalog.Entry) error {
		if more := readerRoom/2 + int64(len(e.Record)) - room; more > 0 {
			if !f.room.TryAcquire(more) {
				need = room + more
				return errRoom
			}
			room += more
		}
		f.at = e.Seq
		return issuer.WriteFrame(out, e.Record)
	})
	if need > 0 {
		err = nil
	}
	return need, errors.Join(err, out.Flush())
}
