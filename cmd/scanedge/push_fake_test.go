package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/scanedge/scanedge"
)

// fate is what becomes of a request.
type fate int

const (
	well          fate = iota
	hangUp             // the connection breaks before the body is read
	halfBody           // when half of it is read
	loseAnswer         // when the push is applied
	halfAnswer         // in the answer
	refuse             // 503, nothing is applied
	deny               // 503, and it is applied all the same
	full               // 507
	proxy              // 502, of somebody in between
	kill               // the pusher is killed before the push is applied
	killApplied        // and after
	killMeanwhile      // and while
	fates              // how many there are
)

// keyedOrigin keeps the promises that a pusher relies on: a key's push is applied once, and If-Match holds.
type keyedOrigin struct {
	url string

	fateMu sync.Mutex
	fate   func() fate // asked for each request; nil for all well
	kill   func()

	mu     sync.Mutex
	lines  []string // applied, in order, without headers and blank lines
	notes  []string // one a batch
	offset uint64
	known  map[string]knownPush
	posts  int
	asked  int
}

type knownPush struct {
	lines   []string
	receipt scanedge.Receipt
}

// newKeyedOrigin closes each connection: a client sends what has a key again by itself when a kept one is dead, which would
// count as one of its fates.
func newKeyedOrigin(t *testing.T, fate func() fate) *keyedOrigin {
	o := &keyedOrigin{known: make(map[string]knownPush), fate: fate}
	server := httptest.NewServer(o)
	server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func (o *keyedOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, kills := o.next()
	switch f {
	case hangUp, kill:
		end(f, kills)
	case halfBody:
		_, _ = io.CopyN(io.Discard, r.Body, max(0, r.ContentLength/2))
		end(f, kills)
	case refuse:
		scanedge.NewProblem(scanedge.NotReady, "").Write(w)
		return
	case full:
		scanedge.NewProblem(scanedge.LogFull, "").Write(w)
		return
	case proxy:
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	body, err := io.ReadAll(r.Body)
	if f == killMeanwhile {
		kills()
	}
	if err != nil {
		scanedge.NewProblem(scanedge.BodyCut, "").Write(w)
		return
	}
	receipt, replayed, problem := o.answer(r, string(body))
	switch {
	case f == loseAnswer || f == killApplied || f == killMeanwhile:
		end(f, kills)
	case f == halfAnswer:
		w.Header().Set("Content-Length", "99")
		_, _ = io.WriteString(w, `{"off`)
	case f == deny:
		scanedge.NewProblem(scanedge.LogUnavailable, "").Write(w)
	case problem != nil:
		problem.Write(w)
	default:
		if replayed {
			w.Header().Set("Idempotency-Replayed", "true")
		}
		_ = json.NewEncoder(w).Encode(receipt)
	}
}

// next is the fate of the next request, and what kills the pusher.
func (o *keyedOrigin) next() (f fate, kills func()) {
	o.fateMu.Lock()
	defer o.fateMu.Unlock()
	if o.fate == nil {
		return well, o.kill
	}
	return o.fate(), o.kill
}

// end breaks the connection, and ends the pusher where it is its fate.
func end(f fate, kills func()) {
	if f == kill || f == killApplied {
		kills()
	}
	panic(http.ErrAbortHandler)
}

func (o *keyedOrigin) answer(r *http.Request, body string) (receipt scanedge.Receipt, replayed bool, problem *scanedge.Problem) {
	fail := func(word scanedge.ProblemType, detail string) (scanedge.Receipt, bool, *scanedge.Problem) {
		return scanedge.Receipt{}, false, scanedge.NewProblem(word, detail)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer token" {
		return fail(scanedge.NoToken, "")
	}
	if key, asks := strings.CutPrefix(r.URL.Path, "/v1/issuers/demo-a/pushes/"); asks {
		o.asked++
		if p, ok := o.known[key]; ok {
			return p.receipt, false, nil
		}
		return fail(scanedge.UnknownPush, "")
	}
	o.posts++
	lines := deltaLines(body, r.Header.Get("Content-Type") == scanedge.CSV)
	switch { // the body is judged before its key and what it must find
	case strings.Contains(body, "BAD"):
		return fail(scanedge.BadLines, "")
	case len(lines) == 0:
		return fail(scanedge.NoDeltas, "")
	}
	key := r.Header.Get("Idempotency-Key")
	if p, ok := o.known[key]; ok {
		if !slices.Equal(p.lines, lines) {
			return fail(scanedge.KeyReused, "")
		}
		return p.receipt, true, nil
	}
	switch match := r.Header.Get("If-Match"); {
	case key == "":
		return fail(scanedge.BadKey, "")
	case match != "" && match != fmt.Sprintf("%q", fmt.Sprint(o.offset)):
		return fail(scanedge.OffsetMoved, fmt.Sprintf("the last batch is at offset %d", o.offset))
	}
	note, _ := url.PathUnescape(r.Header.Get("Scanedge-Note"))
	o.notes = append(o.notes, note)
	o.lines = append(o.lines, lines...)
	o.offset += 2 // beats lie in between
	o.known[key] = knownPush{lines, scanedge.Receipt{Offset: o.offset, Count: len(lines)}}
	return o.known[key].receipt, false, nil
}

// deltaLines are the lines of a push that are deltas.
func deltaLines(body string, header bool) []string {
	var lines []string
	for line := range strings.Lines(body) {
		switch {
		case header:
			header = false
		case strings.TrimSpace(line) != "":
			lines = append(lines, line)
		}
	}
	return lines
}

// others moves the issuer on, as somebody else's push does.
func (o *keyedOrigin) others() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.offset += 2
}

// seen are the lines applied so far, and the requests.
func (o *keyedOrigin) seen() (lines []string, posts, asked int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.lines), o.posts, o.asked
}

// shorten makes pieces of a few lines.
func shorten(t *testing.T, bytes, lines int) {
	was := pieceLimits
	pieceLimits = limits{bytes, lines}
	t.Cleanup(func() { pieceLimits = was })
}
