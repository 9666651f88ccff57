package scanedge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
type Edge struct{ server server }

// NewEdge returns a client of the edge at baseURL ("http://HOST:PORT", also with a path before /v1) with a scanner key.
// Nothing is sent yet: a wrong address or key shows in the first scan.
func NewEdge(baseURL, key string) *Edge {
	return &Edge{newServer(baseURL, key, edgeTimeout)}
}

// ScanPath is the path of a code's scan, "/v1/scan/demo-a:d000000001", for callers with an HTTP client of their own. Every
// byte of the code but letters, digits, - _ ~ and the colon is percent-encoded, the dot too, so that no proxy cleans a
// "..", "//" or "/" in it; the code may hold any bytes.
func ScanPath(code string) string { return "/v1/scan/" + escape(code) }

// Scan asks for the verdict on one code. A code that could be judged has no error, also when it is red. What the edge
// refuses is a [*Problem] under the error: MalformedCode, UnknownSubject, IssuerNotHeld, NoKey, NotReady.
func (e *Edge) Scan(ctx context.Context, code string) (Verdict, error) {
	c := call{
		what: "scan", method: http.MethodGet, path: ScanPath(code), accept: "application/json", cap: maxAnswer,
	}
	if code == "" {
		return Verdict{}, e.server.failed(c, NewProblem(MalformedCode, "the code is empty"))
	}
	if len(code) > maxPathCode {
		return Verdict{}, e.server.failed(c, NewProblem(MalformedCode, fmt.Sprintf("the code has %d bytes", len(code))))
	}
	body, err := e.server.do(ctx, c)
	if err != nil {
		return Verdict{}, err
	}
	var v Verdict
	if err := json.Unmarshal(body, &v); err != nil || v.Status == "" {
		return Verdict{}, e.server.failed(c, stranger("200 OK", body))
	}
	return v, nil
}

// Answer is what ScanMany says of one code: a verdict, or the word of the error in its place and then no verdict. As JSON it
// is the verdict's object or {"error":WORD}, a line of the API's batches.
type Answer struct {
	Verdict
	Error ProblemType `json:"error,omitempty"`
}

// MarshalJSON writes the verdict alone, or the error alone.
func (a Answer) MarshalJSON() ([]byte, error) {
	if a.Error == "" {
		return json.Marshal(a.Verdict)
	}
	return json.Marshal(struct {
		Error ProblemType `json:"error"`
	}{a.Error})
}

// ScanMany asks for any number of codes and returns an answer for each, in order, in requests of at most 10,000 codes and
// 1 MiB, one after another. A code that can't travel as a line (it is empty, holds a line break or is over 1 MiB) is
// MalformedCode without being sent. On an error there are no answers; the requests before it have only read.
func (e *Edge) ScanMany(ctx context.Context, codes []string) ([]Answer, error) {
	answers := make([]Answer, len(codes))
	var b batch
	for i, code := range codes {
		if !travels(code) {
			answers[i].Error = MalformedCode
			continue
		}
		if !b.fits(code) {
			if err := e.ask(ctx, b, answers); err != nil {
				return nil, err
			}
			b = batch{}
		}
		b.add(code, i)
	}
	if err := e.ask(ctx, b, answers); err != nil {
		return nil, err
	}
	return answers, nil
}

// travels tells whether code can be a line of a batch: a line break in it would shift every answer behind it.
func travels(code string) bool {
	return code != "" && len(code) < maxCodeBytes && !strings.ContainsAny(code, "\r\n")
}

// batch is the codes of one request, and where their answers go.
type batch struct {
	body  []byte
	place []int
}

func (b *batch) fits(code string) bool {
	return len(b.place) < maxCodes && len(b.body)+len(code)+1 <= maxCodeBytes
}

func (b *batch) add(code string, place int) {
	b.body = append(append(b.body, code...), '\n')
	b.place = append(b.place, place)
}

func (e *Edge) ask(ctx context.Context, b batch, answers []Answer) error {
	if len(b.place) == 0 {
		return nil
	}
	c := call{
		what: "scan", method: http.MethodPost, path: "/v1/scan", contentType: "text/plain; charset=utf-8",
		accept: "application/x-ndjson", body: bytes.NewReader(b.body), again: true, cap: maxBatchAnswer,
	}
	body, err := e.server.do(ctx, c)
	if err != nil {
		return err
	}
	if err := b.read(body, answers); err != nil {
		return e.server.failed(c, err)
	}
	return nil
}

// read puts the answers of an edge, a line each, in their places. Too few or too many mean that none can be trusted.
func (b *batch) read(body []byte, answers []Answer) error {
	got := 0
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if got < len(b.place) {
			var a Answer
			if err := json.Unmarshal(line, &a); err != nil || (a.Status == "") == (a.Error == "") {
				return stranger(fmt.Sprintf("200 OK, line %d", got+1), line)
			}
			answers[b.place[got]] = a
		}
		got++
	}
	if got != len(b.place) {
		return fmt.Errorf("%d codes were sent, %d answers came back", len(b.place), got)
	}
	return nil
}
