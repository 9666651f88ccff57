package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
)

// slowBody is how long a push may go without a byte of its body arriving, and leastRate how many bytes a second one that has a place
// has to bring besides, on average. Tests are quicker.
var (
	slowBody  = 30 * time.Second
	leastRate = int64(64 << 10)
)

// servePush answers POST /v1/issuers/{issuer}/deltas: all of the push or nothing. With dry_run=1 it is not applied; with replace=1 the
// body is the whole table.
func (o *Origin) servePush(rw http.ResponseWriter, req *http.Request) {
	dry, replace, problem := changeAsked(req)
	switch {
	case problem != nil:
		problem.Write(rw)
		return
	case replace:
		o.serveReplace(rw, req, dry)
		return
	case dry:
		o.serveDryRun(rw, req)
		return
	}
	out, problem := o.push(rw, req)
	switch {
	case problem != nil:
		o.count(req.PathValue("issuer"), string(problem.Type))
		if problem.Type == scanedge.LogFull {
			rw.Header().Set("Retry-After", "5")
		}
		problem.Write(rw)
		return
	case out.replayed:
		o.count(req.PathValue("issuer"), "replayed")
		rw.Header().Set("Idempotency-Replayed", "true")
	default:
		o.count(req.PathValue("issuer"), "ok")
	}
	rw.Header().Set("ETag", fmt.Sprintf("%q", strconv.FormatUint(out.receipt.Offset, 10)))
	writeJSON(rw, out.receipt)
}

// asked is what a request for a change says beside its body.
type asked struct {
	w       *writer
	token   *access.Bearer // nil: an operator's
	from    caller
	info    delta.Info
	ifMatch *uint64
	run     string

	charge func(changes int) *scanedge.Problem // of a replacement: counts what it is about to change; nil: anything may be
}

// asked reads all of a push but its body, and checks that its token may push.
func (o *Origin) asked(rw http.ResponseWriter, req *http.Request) (a asked, problem *scanedge.Problem) {
	if a.token, problem = o.pusher(req); problem != nil {
		return a, problem
	}
	if a.w, problem = o.issuer(req); problem != nil {
		return a, problem
	}
	a.from = callerOf(a.token)
	a.info.Pusher = a.from.name
	if run, ok := single(req.Header, "Scanedge-Run"); ok {
		if !validKey(run) {
			return a, scanedge.NewProblem(scanedge.BadRequest, "send one Scanedge-Run of 1 to 128 visible ASCII characters, or none")
		}
		a.run = run
	}
	a.ifMatch, problem = terms(req.Header, &a.info)
	return a, problem
}

// took looks, when all of a push was read, whether its token was revoked meanwhile.
func (o *Origin) took(rw http.ResponseWriter, req *http.Request) *scanedge.Problem {
	// The body is here. The server goes on reading the connection to see it close, and would take steady's deadline for that.
	_ = http.NewResponseController(rw).SetReadDeadline(time.Time{})
	_, problem := o.pusher(req)
	return problem
}

// read reads the body of a push. The place that it needs is held until the push is answered.
func (o *Origin) read(rw http.ResponseWriter, req *http.Request, a asked, at *place) (*push, *scanedge.Problem) {
	deltas, problem := readDeltas(a.w, steady(rw, req, at), req.Header, func(n int) (int, error) { return at.grow(req.Context(), n) })
	if problem != nil {
		return nil, problem
	}
	if problem := o.took(rw, req); problem != nil {
		return nil, problem
	}
	if problem := fits(a.token, len(deltas)); problem != nil {
		return nil, problem
	}
	p, err := newPush(a.w, a.info, deltas, a.ifMatch)
	if err != nil {
		return nil, scanedge.NewProblem(scanedge.LogUnavailable, err.Error())
	}
	p.from, p.run = a.from, a.run
	return p, nil
}

func (o *Origin) push(rw http.ResponseWriter, req *http.Request) (outcome, *scanedge.Problem) {
	a, problem := o.asked(rw, req)
	if problem != nil {
		return outcome{}, problem
	}
	if problem := spent(rw, a.token); problem != nil { // before anything is read
		return outcome{}, problem
	}
	at := &place{of: o.places}
	defer at.leave()
	p, problem := o.read(rw, req, a, at)
	if problem == nil {
		problem = charge(rw, a.token, p.batch.Len())
	}
	if problem != nil {
		return outcome{}, problem
	}
	out := a.w.submit(req.Context(), p)
	if out.err != nil {
		return outcome{}, a.w.refusal(p, out.err)
	}
	return out, nil
}

// refusal says why the writer did not take a push.
func (w *writer) refusal(p *push, err error) *scanedge.Problem {
	var moved movedError
	var held heldError
	switch {
	case errors.As(err, &held):
		return w.hold(p, held)
	case errors.Is(err, errHungUp):
		return scanedge.NewProblem(scanedge.BodyCut, "the pusher hung up before its push's turn came")
	case errors.Is(err, errKeyReused):
		return scanedge.NewProblem(scanedge.KeyReused,
			fmt.Sprintf("%q came with other deltas before; send a new push with a key of its own", p.batch.Key))
	case errors.As(err, &moved):
		return scanedge.NewProblem(scanedge.OffsetMoved, fmt.Sprintf("the last batch has offset %d, not %d; nothing was applied",
			moved.now, *p.ifMatch))
	}
	w.logger.Error("push not acknowledged", "deltas", p.batch.Len(), "err", err)
	if errors.Is(err, deltalog.ErrFull) {
		return scanedge.NewProblem(scanedge.LogFull,
			fmt.Sprintf("the push is not acknowledged; make room on %s, then send it again", w.disk.name))
	}
	return scanedge.NewProblem(scanedge.LogUnavailable,
		"the push is not acknowledged; send it again, for applying a delta twice changes nothing")
}

// Limits of what goes with a push, in bytes.
const (
	maxKey  = 128
	maxNote = 512
)

// terms reads what a push's headers say beside its body: key and note go into info, If-Match is returned.
func terms(h http.Header, info *delta.Info) (ifMatch *uint64, problem *scanedge.Problem) {
	if key, ok := single(h, "Idempotency-Key"); ok {
		if !validKey(key) {
			return nil, scanedge.NewProblem(scanedge.BadKey, "send one Idempotency-Key of 1 to 128 visible ASCII characters, or none")
		}
		info.Key = key
	}
	if match, ok := single(h, "If-Match"); ok {
		offset, err := strconv.ParseUint(unquoted(match), 10, 64)
		if err != nil {
			return nil, scanedge.NewProblem(scanedge.BadIfMatch,
				fmt.Sprintf("If-Match: %s; send the offset of the issuer's last batch, 0 if nothing was ever pushed", match))
		}
		ifMatch = &offset
	}
	if note, ok := single(h, "Scanedge-Note"); ok {
		var err error
		if info.Note, err = url.PathUnescape(note); err != nil || !validNote(note, info.Note) {
			return nil, scanedge.NewProblem(scanedge.BadNote,
				"send one Scanedge-Note of up to 512 bytes of UTF-8 without control characters, percent-encoded where it is not ASCII")
		}
	}
	return ifMatch, nil
}

// single is the value of a header that may be there once; of one that is there twice it is what no such header may be.
func single(h http.Header, name string) (value string, ok bool) {
	values := h.Values(name)
	if len(values) > 1 {
		return "\x00", true
	}
	return h.Get(name), len(values) == 1
}

func validKey(key string) bool {
	outside := func(r rune) bool { return r < 0x21 || r > 0x7e }
	return len(key) >= 1 && len(key) <= maxKey && !strings.ContainsFunc(key, outside)
}

func validNote(sent, note string) bool {
	outside := func(r rune) bool { return r > 0x7e }
	return !strings.ContainsFunc(sent, outside) &&
		len(note) <= maxNote && utf8.ValidString(note) && !strings.ContainsFunc(note, unicode.IsControl)
}

// unquoted is s without the double quotes around it, if it has both.
func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// servePushed answers GET /v1/issuers/{issuer}/pushes/{key}: the receipt of the push that had the key.
func (o *Origin) servePushed(rw http.ResponseWriter, req *http.Request) {
	receipt, problem := o.pushed(req)
	if problem != nil {
		problem.Write(rw)
		return
	}
	writeJSON(rw, receipt)
}

func (o *Origin) pushed(req *http.Request) (r scanedge.Receipt, problem *scanedge.Problem) {
	if _, problem := o.pusher(req); problem != nil {
		return r, problem
	}
	w, problem := o.issuer(req)
	if problem != nil {
		return r, problem
	}
	key := req.PathValue("key")
	if !validKey(key) {
		return r, scanedge.NewProblem(scanedge.BadKey, "an Idempotency-Key is 1 to 128 visible ASCII characters")
	}
	k, ok := w.past.find(key)
	if !ok {
		return r, scanedge.NewProblem(scanedge.UnknownPush,
			fmt.Sprintf("no push with the Idempotency-Key %q was stored, or it is too long ago", key))
	}
	return k.receipt(), nil
}

// steady is the request's body, cut off when nothing comes for slowBody, and while it has a place when less comes than leastRate: so
// nobody keeps memory, or others from it, for ever.
func steady(rw http.ResponseWriter, req *http.Request, at *place) io.Reader {
	return &steadyReader{body: req.Body, conn: http.NewResponseController(rw), at: at}
}

type steadyReader struct {
	body io.Reader
	conn *http.ResponseController
	at   *place

	held   chan struct{} // at's, and since it has that:
	read   int64         // bytes
	waited time.Duration // for the pusher alone
}

func (s *steadyReader) Read(b []byte) (int, error) {
	if s.held != s.at.held {
		s.held, s.read, s.waited = s.at.held, 0, 0
	}
	patience := slowBody
	if s.held != nil {
		patience = min(patience, slowBody+time.Duration(s.read*int64(time.Second)/leastRate)-s.waited)
	}
	began := time.Now()
	_ = s.conn.SetReadDeadline(began.Add(patience)) // a test's recorder has no deadlines
	n, err := s.body.Read(b)
	s.read += int64(n)
	s.waited += time.Since(began)
	return n, err
}

// bearer is the token of the request, nil if it has none.
func bearer(req *http.Request) []byte {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return []byte(strings.TrimSpace(token))
}

func writeJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(rw).Encode(v) // what fails here is the connection
}
