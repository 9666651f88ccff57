package scanedge

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ProblemType is the stable word that names an error, in the type member of a problem and in the lines of a batch. Words
// are a promise: scripts compare them, pages translate them.
type ProblemType string

// The words that an edge and an origin answer with. The HTTP status of each is in [ProblemType.Status].
const (
	MalformedCode     ProblemType = "malformed-code"     // the code has not the form issuer:subject
	NoKey             ProblemType = "no-key"             // no scanner key, or one that this edge does not know
	UnknownSubject    ProblemType = "unknown-subject"    // the issuer is held, the subject is not in its table
	IssuerNotHeld     ProblemType = "issuer-not-held"    // this edge holds no table of that issuer
	NotReady          ProblemType = "not-ready"          // the table is not caught up yet
	TooManyCodes      ProblemType = "too-many-codes"     // more codes in one request than an edge judges
	BadLines          ProblemType = "bad-lines"          // lines of a push are not deltas; Lines names them
	NoDeltas          ProblemType = "no-deltas"          // a push without a single delta
	NoToken           ProblemType = "no-token"           // no token, or one that this origin does not know
	UnknownIssuer     ProblemType = "unknown-issuer"     // the origin has no such issuer
	TooManyDeltas     ProblemType = "too-many-deltas"    // a push of over 1,000,000 deltas
	TooLarge          ProblemType = "too-large"          // a body over the limit, after decompression
	LineTooLong       ProblemType = "line-too-long"      // a line of over 64 KiB
	BadEncoding       ProblemType = "bad-encoding"       // the body is cut short or is not what Content-Encoding says
	UnsupportedCoding ProblemType = "unsupported-coding" // a Content-Encoding other than gzip
	BodyCut           ProblemType = "body-cut"           // the connection ended before the body did
	LogUnavailable    ProblemType = "log-unavailable"    // the log did not take the batch; nothing is acknowledged
	NotFound          ProblemType = "not-found"          // no such path
	MethodNotAllowed  ProblemType = "method-not-allowed" // the path exists, the method does not
	BadRequest        ProblemType = "bad-request"        // the request could not be read as HTTP
)

var problems = map[ProblemType]struct {
	status int
	title  string
}{
	MalformedCode:     {http.StatusBadRequest, "The code is not of the form issuer:subject"},
	NoKey:             {http.StatusUnauthorized, "A scanner key that this edge knows is needed"},
	UnknownSubject:    {http.StatusNotFound, "The issuer has no such subject"},
	IssuerNotHeld:     {http.StatusNotFound, "This edge does not hold that issuer"},
	NotReady:          {http.StatusServiceUnavailable, "Not ready: not caught up with the log yet"},
	TooManyCodes:      {http.StatusRequestEntityTooLarge, "Too many codes in one request"},
	BadLines:          {http.StatusBadRequest, "Some lines are not deltas; nothing was applied"},
	NoDeltas:          {http.StatusBadRequest, "The push holds no delta"},
	NoToken:           {http.StatusUnauthorized, "A token that this origin knows is needed"},
	UnknownIssuer:     {http.StatusNotFound, "This origin has no such issuer"},
	TooManyDeltas:     {http.StatusRequestEntityTooLarge, "Too many deltas in one push; split it"},
	TooLarge:          {http.StatusRequestEntityTooLarge, "The body is too large; split it"},
	LineTooLong:       {http.StatusRequestEntityTooLarge, "A line is too long"},
	BadEncoding:       {http.StatusBadRequest, "The body is not whole or not what its Content-Encoding says"},
	UnsupportedCoding: {http.StatusUnsupportedMediaType, "That Content-Encoding is not accepted"},
	BodyCut:           {http.StatusBadRequest, "The body ended early"},
	LogUnavailable:    {http.StatusServiceUnavailable, "The log did not take the batch"},
	NotFound:          {http.StatusNotFound, "There is nothing at this path"},
	MethodNotAllowed:  {http.StatusMethodNotAllowed, "This path does not take that method"},
	BadRequest:        {http.StatusBadRequest, "The request could not be read"},
}

// Status returns the HTTP status that goes with the word, or 500 for a word that this version does not know.
func (t ProblemType) Status() int {
	if p, ok := problems[t]; ok {
		return p.status
	}
	return http.StatusInternalServerError
}

// Title returns the English sentence that goes with the word.
func (t ProblemType) Title() string { return problems[t].title }

// Problem is an error answer of an edge or an origin: problem details as in RFC 9457. It is an error, found with errors.As.
type Problem struct {
	Type   ProblemType `json:"type"`
	Title  string      `json:"title,omitempty"`
	Status int         `json:"status"`
	Detail string      `json:"detail,omitempty"` // what was wrong with this request, and what to do
	Lines  []BadLine   `json:"lines,omitempty"`  // with bad-lines: the first 20
	Bad    int         `json:"bad,omitempty"`    // with bad-lines: how many in all
}

// BadLine says why a line of a push is no delta. Lines count from 1, a CSV header included.
type BadLine struct {
	Line  int    `json:"line"`
	Field string `json:"field,omitempty"`
	Why   string `json:"why"`
}

// NewProblem makes the problem that t names, with its status and title.
func NewProblem(t ProblemType, detail string) *Problem {
	return &Problem{Type: t, Title: t.Title(), Status: t.Status(), Detail: detail}
}

// Error says the word, the detail and the first bad line.
func (p *Problem) Error() string {
	s := string(p.Type)
	if p.Detail != "" {
		s += ": " + p.Detail
	} else if p.Title != "" {
		s += ": " + p.Title
	}
	if len(p.Lines) > 0 {
		s += fmt.Sprintf(" (%s)", p.Lines[0])
	}
	return s
}

// String reads like `line 7: status: unknown status "blue"`.
func (b BadLine) String() string {
	if b.Field == "" {
		return fmt.Sprintf("line %d: %s", b.Line, b.Why)
	}
	return fmt.Sprintf("line %d: %s: %s", b.Line, b.Field, b.Why)
}

// Write answers an HTTP request with the problem, and with the headers that its status calls for.
func (p *Problem) Write(rw http.ResponseWriter) {
	h := rw.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	rw.WriteHeader(p.Status)
	_, _ = rw.Write(p.JSON()) // what fails here is the connection
}

// JSON is the problem as an application/problem+json body.
func (p *Problem) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // a Problem holds only strings and numbers
	}
	return b
}
