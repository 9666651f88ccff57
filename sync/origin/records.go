package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// How many records are sent at once: by default, and at most.
const (
	someRecords = 100
	mostRecords = 1000
)

// slowReader is how long an asker may take none of what is sent.
const slowReader = 30 * time.Second

// serveRecords answers GET /v1/issuers/{issuer}/records: the log's chained records as they are stored, each after its length.
func (o *Origin) serveRecords(rw http.ResponseWriter, req *http.Request) {
	if problem := o.records(rw, req); problem != nil {
		problem.Write(rw)
	}
}

func (o *Origin) records(rw http.ResponseWriter, req *http.Request) *scanedge.Problem {
	_, refused := o.pusher(req)
	if _, operator := o.access.Check(access.Admin, bearer(req)); !operator && refused != nil {
		return refused
	}
	w, problem := o.issuer(req)
	if problem != nil {
		return problem
	}
	after, limit, err := recordsAsked(req)
	if err != nil {
		return scanedge.NewProblem(scanedge.BadRequest, err.Error())
	}
	if req.Method == http.MethodHead {
		recordsHeader(rw)
		return nil
	}
	return w.sendRecords(rw, req, after, limit)
}

// recordsAsked reads the query: after, 0 if it is not there, and limit.
func recordsAsked(req *http.Request) (after uint64, limit int, err error) {
	q := req.URL.Query()
	if s := q.Get("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("after=%s; give an offset", s)
		}
	}
	limit = someRecords
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > mostRecords {
			return 0, 0, fmt.Errorf("limit=%s; give 1 to %d", s, mostRecords)
		}
	}
	return after, limit, nil
}

func recordsHeader(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("Cache-Control", "no-store")
}

var errEnough = errors.New("as many as were asked for")

// sendRecords sends records as the log gives them, so none but the one under way is held in memory. What ends it after the first
// byte can only be told by hanging up.
func (w *writer) sendRecords(rw http.ResponseWriter, req *http.Request, after uint64, limit int) *scanedge.Problem {
	end := w.offset.Load()
	if after >= end {
		recordsHeader(rw)
		return nil
	}
	defer func() { _ = http.NewResponseController(rw).SetWriteDeadline(time.Time{}) }() // the connection's next answer has its own time
	sent, trimmed := 0, false
	_, err := w.log.Replay(req.Context(), after, func(e deltalog.Entry) error {
		head, _, _, err := issuer.Open(e.Record)
		switch {
		case err != nil || !head.Kind.Chained():
			return err
		case sent == 0 && head.Prev.Offset > after:
			trimmed = true
			return errEnough
		case sent == 0:
			recordsHeader(rw)
		}
		if err := sendRecord(rw, e.Record); err != nil {
			return err
		}
		if sent++; sent == limit || e.Seq >= end {
			return errEnough
		}
		return nil
	})
	switch {
	case trimmed:
		return scanedge.NewProblem(scanedge.Trimmed,
			fmt.Sprintf("records after offset %d are gone; begin with a snapshot and read on from its offset", after))
	case err == nil || errors.Is(err, errEnough):
		return nil
	case sent == 0:
		if !errors.Is(err, context.Canceled) {
			w.logger.Error("records not read", "after", after, "err", err)
		}
		return scanedge.NewProblem(scanedge.LogUnavailable, "the log could not be read; ask again")
	}
	panic(http.ErrAbortHandler)
}

func sendRecord(rw http.ResponseWriter, record []byte) error {
	_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(slowReader)) // a test's recorder has no deadlines
	return issuer.WriteFrame(rw, record)
}
