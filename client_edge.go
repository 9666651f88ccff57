package scanedge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What ScanMany puts in one request: as much as an edge takes.
const (
	maxCodes     = 10_000
	maxCodeBytes = 1 << 20
)

// maxPathCode is the longest code that Scan puts in a request line: far longer than any good one, and, each byte encoded,
// short of what an edge reads before it hangs up.
const maxPathCode = 1 << 10

// edgeTimeout is how long an edge may take for one request, its answer read. A gate has long given up by then.
const edgeTimeout = 10 * time.Second

// Edge asks one edge. It is safe for concurrent use and keeps its connections open.
//
// It remembers the highest offset that it was answered from, of up to 1,024 issuers, and tells the edge so (Scanedge-Min-Offset): who was shown
// a status is never shown an older one, also if the edge came back with an older table. Such an edge says Behind, until it has come so far.
type Edge struct {
	// Retry says how long a scan goes on while the edge can't be reached or can't answer. It is to be set before the first scan.
	Retry Retry

	server server
	seen   *seen
}

// NewEdge returns a client of the edge at baseURL ("http://HOST:PORT", also with a path before /v1) with a scanner key.
// Nothing is sent yet: a wrong address or key shows in the first scan.
func NewEdge(baseURL, key string) *Edge {
	return &Edge{server: newServer(baseURL, key, edgeTimeout), seen: new(seen)}
}

// ScanPath is the path of a code's scan, "/v1/scan/demo-a:d000000001", for callers with an HTTP client of their own. Every
// byte of the code but letters, digits, - _ ~ and the colon is percent-encoded, the dot too, so that no proxy cleans a
// "..", "//" or "/" in it; the code may hold any bytes.
func ScanPath(code string) string { return "/v1/scan/" + escape(code) }

// Scan asks for the verdict on one code. A code that could be judged has no error, also when it is red. What the edge
// refuses is a [*Problem] under the error: of the code MalformedCode, UnknownSubject, IssuerNotHeld, PlainForbidden, ForgedCode, CodeExpired,
// NotYetValid and ClockAhead (by AheadS seconds at the least); of who asks NoKey, TooFast and LockedOut; of the edge NotReady, TooStale,
// Behind and Overloaded.
func (e *Edge) Scan(ctx context.Context, code string) (v Verdict, err error) {
	least := e.seen.least(issuerOf(code))
	c := call{
		what: "scan", method: http.MethodGet, path: ScanPath(code), accept: "application/json", header: least.header(), cap: maxAnswer,
	}
	if code == "" {
		return v, e.server.failed(c, NewProblem(MalformedCode, "the code is empty"))
	}
	if len(code) > maxPathCode {
		return v, e.server.failed(c, NewProblem(MalformedCode, fmt.Sprintf("the code has %d bytes", len(code))))
	}
	err = e.Retry.keepOn(ctx, func() error {
		v, err = e.verdict(ctx, c, least)
		return err
	})
	return v, err
}

// verdict asks once.
func (e *Edge) verdict(ctx context.Context, c call, least least) (v Verdict, err error) {
	body, err := e.server.do(ctx, c)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(body, &v); err != nil || v.Status == "" {
		return Verdict{}, e.server.failed(c, stranger("200 OK", body))
	}
	if old := least.old(v); old != nil {
		return Verdict{}, e.server.failed(c, &awayError{old, time.Second})
	}
	e.seen.see(v)
	return v, nil
}

// Answer is what ScanMany says of one code: a verdict, or the word of the error in its place and then no verdict. As JSON it
// is the verdict's object or {"error":WORD}, a line of the API's batches.
type Answer struct {
	Verdict
	Error  ProblemType `json:"error,omitempty"`
	AheadS int64       `json:"ahead_s,omitempty"` // with ClockAhead: seconds that the phone's clock is ahead, at the least
}

// MarshalJSON writes the verdict alone, or the error alone.
func (a Answer) MarshalJSON() ([]byte, error) {
	if a.Error == "" {
		return json.Marshal(a.Verdict)
	}
	return json.Marshal(struct {
		Error  ProblemType `json:"error"`
		AheadS int64       `json:"ahead_s,omitempty"`
	}{a.Error, a.AheadS})
}

// ScanMany asks for any number of codes and returns an answer for each, in order, in requests of at most 10,000 codes and
// 1 MiB, one after another. A code that can't travel as a line (it is empty, holds a line break or is over 1 MiB) is
// MalformedCode without being sent. On an error there are no answers; the requests before it have only read.
func (e *Edge) ScanMany(ctx context.Context, codes []string) ([]Answer, error) {
	answers := make([]Answer, len(codes))
	for b := range e.seen.batches(codes, answers) {
		got, err := e.ask(ctx, b)
		if err != nil {
			return nil, err
		}
		b.put(got, answers)
	}
	return answers, nil
}

// travels tells whether code can be a line of a batch: a line break in it would shift every answer behind it.
func travels(code string) bool {
	return code != "" && len(code) < maxCodeBytes && !strings.ContainsAny(code, "\r\n")
}

// batch is the codes of one request, and where their answers go.
type batch struct {
	codes   []string
	place   []int
	size    int      // bytes
	issuers []string // of the codes, those of which something was seen
}

// batches cuts codes into batches. It answers those that can't travel.
func (s *seen) batches(codes []string, answers []Answer) iter.Seq[batch] {
	return func(yield func(batch) bool) {
		var b batch
		for i, code := range codes {
			if !travels(code) {
				answers[i].Error = MalformedCode
			} else if !b.add(code, i, s) {
				if !yield(b) {
					return
				}
				b = batch{}
				b.add(code, i, s) // alone each fits
			}
		}
		if len(b.codes) > 0 {
			yield(b)
		}
	}
}

// add adds a code whose answer goes to a place, if there is room.
func (b *batch) add(code string, place int, s *seen) bool {
	if len(b.codes) == maxCodes || b.size+len(code)+1 > maxCodeBytes {
		return false
	}
	if id := issuerOf(code); !slices.Contains(b.issuers, id) && s.knows(id) {
		if len(b.issuers) == maxSeenSent {
			return false
		}
		b.issuers = append(b.issuers, id)
	}
	b.codes, b.place, b.size = append(b.codes, code), append(b.place, place), b.size+len(code)+1
	return true
}

func (b *batch) body() []byte {
	body := make([]byte, 0, b.size)
	for _, code := range b.codes {
		body = append(append(body, code...), '\n')
	}
	return body
}

// put puts the answers to the codes of a batch where they belong.
func (b *batch) put(got, answers []Answer) {
	for i, a := range got {
		answers[b.place[i]] = a
	}
}

// ask returns the answers to the codes of a batch, in their order.
func (e *Edge) ask(ctx context.Context, b batch) ([]Answer, error) {
	least := e.seen.least(b.issuers...)
	c := call{
		what: "scan", method: http.MethodPost, path: "/v1/scan", contentType: "text/plain; charset=utf-8", header: least.header(),
		accept: "application/x-ndjson", body: bytes.NewReader(b.body()), again: true, retry: e.Retry, cap: maxBatchAnswer,
	}
	body, err := e.server.do(ctx, c)
	if err != nil {
		return nil, err
	}
	answers, err := b.read(body)
	if err != nil {
		return nil, e.server.failed(c, err)
	}
	for i, a := range answers {
		if a.Error != "" {
			continue
		}
		if least.old(a.Verdict) != nil {
			answers[i] = Answer{Error: Behind}
			continue
		}
		e.seen.see(a.Verdict)
	}
	return answers, nil
}

// read reads the answers of an edge, a line each. Too few or too many mean that none can be trusted.
func (b *batch) read(body []byte) ([]Answer, error) {
	answers, got := make([]Answer, len(b.codes)), 0
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if got < len(answers) {
			a := &answers[got]
			if err := json.Unmarshal(line, a); err != nil || (a.Status == "") == (a.Error == "") {
				return nil, stranger(fmt.Sprintf("200 OK, line %d", got+1), line)
			}
		}
		got++
	}
	if got != len(answers) {
		return nil, fmt.Errorf("%d codes were sent, %d answers came back", len(answers), got)
	}
	return answers, nil
}
