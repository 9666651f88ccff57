package origin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// searches is how many look-ups read a log at once, of all issuers: each reads all that its log holds, a record at a time, some
// hundred MB a second.
const searches = 2

// serveSubject answers GET /v1/issuers/{issuer}/subjects/{subject}: the record, and while the log holds it, who pushed it.
func (o *Origin) serveSubject(rw http.ResponseWriter, req *http.Request) {
	w, subject, problem := o.subjectOf(req)
	if problem != nil {
		problem.Write(rw)
		return
	}
	select {
	case o.searching <- struct{}{}:
		defer func() { <-o.searching }()
	default:
		scanedge.NewProblem(scanedge.Busy, fmt.Sprintf("%d look-ups read the log already; ask again", searches)).Write(rw)
		return
	}
	state, problem := w.subject(req.Context(), subject)
	if problem != nil {
		problem.Write(rw)
		return
	}
	writeJSON(rw, state)
}

// subjectOf returns the writer and the subject that a request names.
func (o *Origin) subjectOf(req *http.Request) (*writer, string, *scanedge.Problem) {
	w, problem := o.issuer(req)
	if problem != nil {
		return nil, "", problem
	}
	subject := req.PathValue("subject")
	if err := cache.CheckSubject([]byte(subject)); err != nil {
		return nil, "", scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("subject %q: %v", subject, err))
	}
	return w, subject, nil
}

func (w *writer) subject(ctx context.Context, subject string) (scanedge.SubjectState, *scanedge.Problem) {
	key := w.secret.Seed.Key([]byte(subject))
	record, there := w.table.Lookup(key)
	state := scanedge.SubjectState{Issuer: w.secret.ID, Subject: subject, Offset: w.past.lastBatch()}
	last, found, err := w.lastPush(ctx, key)
	if err != nil {
		if ctx.Err() == nil {
			w.logger.Error("the log was not searched", "err", err)
		}
		return state, scanedge.NewProblem(scanedge.LogUnavailable, "the log could not be read; ask again")
	}
	if found { // it may be newer than the table was, and is what holds
		record, there = last.record, last.record != cache.Removed
		state.Pushed, state.Offset = &last.PushedInfo, max(state.Offset, last.PushedInfo.Offset)
	}
	if !there {
		detail := fmt.Sprintf("%s has no subject %q", w.secret.ID, subject)
		if found {
			detail += fmt.Sprintf("; it was removed at offset %d, %s, by %q", last.PushedInfo.Offset, last.PushedInfo.Time, last.Pusher)
		}
		return state, scanedge.NewProblem(scanedge.UnknownSubject, detail)
	}
	state.Status = scanedge.Status(record.Word(time.Now().Unix()))
	state.Reason = int(record.Reason())
	if until, ends := record.Until(); ends {
		state.Until = until.Format(time.RFC3339)
	}
	return state, nil
}

// pushed is the last that the log has of a subject.
type pushed struct {
	scanedge.PushedInfo
	record cache.Record
}

// lastPush searches the log, from its beginning, for the last push of a key.
func (w *writer) lastPush(ctx context.Context, key cache.Key) (last pushed, found bool, err error) {
	key = key.Stored()
	_, err = w.log.Replay(ctx, 0, func(e deltalog.Entry) error {
		head, body, _, err := issuer.Open(e.Record)
		if err != nil || head.Kind != issuer.Batch {
			return err
		}
		b, err := delta.ParseBatch(body)
		if err != nil {
			return err
		}
		i := b.Last(key)
		if i < 0 {
			return nil
		}
		found = true
		last.record = b.At(i).Record
		last.PushedInfo = scanedge.PushedInfo{
			Offset: head.Offset, Time: head.Time.Format(time.RFC3339Nano), Pusher: b.Pusher, Note: b.Note, Key: b.Key, Approver: b.Approver,
		}
		return nil
	})
	return last, found && err == nil, err
}
