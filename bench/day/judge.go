package day

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// Outcomes besides the words of a verdict and of a problem.
const (
	Upload load.Outcome = "upload" // an upload was answered with 200
	Other  load.Outcome = "other"  // an answer that no edge gives to a scan
)

// Content types that answers have.
const (
	verdictType = "application/json"
	problemType = "application/problem+json"
	linesType   = "application/x-ndjson"
)

// Judge says what the answer to visit i is worth.
func (s *Script) Judge(i uint64, a load.Answer) load.Judgement {
	v := s.at(i)
	f := finding{code: v.asks[0].text(a.At), own: s.own()}
	switch {
	case a.Code != http.StatusOK:
		f.judgeProblem(v, a)
	case v.upload:
		f.judgeUpload(v.asks, a)
	default:
		f.judgeVerdict(v.asks[0].want, a)
	}
	if f.fault == "" {
		return load.Judgement{Outcome: f.outcome}
	}
	return load.Judgement{Outcome: f.outcome, Wrong: &load.Example{
		Code: f.code, Edge: s.edges[v.edge].Name, Expected: cmp.Or(f.expected, expected(v)),
		Got: fmt.Sprintf("%s: %d %s", f.fault, a.Code, clip(f.got)),
	}}
}

func expected(v visit) string {
	switch w := v.asks[0].want; {
	case v.upload:
		return fmt.Sprintf("200 with %d lines", len(v.asks))
	case w.problem != "":
		return fmt.Sprintf("%d %s", w.problem.Status(), w)
	default:
		return "200 " + w.String()
	}
}

// finding is what one answer turned out to be.
type finding struct {
	outcome  load.Outcome
	fault    string // "" when it is right
	code     string // where the fault is
	expected string // of an upload's line
	got      []byte

	own *Subjects // nil: the run has no subjects of its own
}

// own are the subjects that the run pushes, if it does.
func (s *Script) own() *Subjects {
	if s.mix == nil {
		return nil
	}
	return s.mix.own
}

// faultOf is what is wrong with what was said, in view of what the run has pushed.
func (f *finding) faultOf(w want, s said, at time.Time) string {
	if f.own == nil {
		return w.fault(s, at)
	}
	if w.moves > 0 {
		w = f.own.settle(w, s, at)
	}
	fault := w.fault(s, at)
	if fault == "" && s.Error == "" {
		fault = f.own.late(s)
	}
	return fault
}

func (f *finding) judgeVerdict(w want, a load.Answer) {
	f.got = a.Body
	said, fault := read(a.Body)
	f.outcome = said.outcome()
	switch {
	case w.problem != "":
		f.fault = "a verdict"
	case fault != "":
		f.fault = fault
	default:
		f.fault = cmp.Or(faultOfHeader(a.Header, verdictType), f.faultOf(w, said, a.At))
	}
}

// judgeProblem judges an answer other than 200.
func (f *finding) judgeProblem(v visit, a load.Answer) {
	f.got = a.Body
	var p struct {
		Type scanedge.ProblemType `json:"type"`
	}
	unreadable := json.Unmarshal(a.Body, &p) != nil
	f.outcome = Other
	switch p.Type {
	case scanedge.UnknownSubject, scanedge.MalformedCode, scanedge.IssuerNotHeld, scanedge.ForgedCode, scanedge.CodeExpired:
		f.outcome = load.Outcome(p.Type)
	}
	w := v.asks[0].want
	if f.own != nil && w.moves > 0 {
		w = f.own.settle(w, said{Error: p.Type}, a.At)
	}
	switch {
	case v.upload || w.problem == "":
		f.fault = "a problem"
	case a.Code != w.problem.Status():
		f.fault = "the status"
	case unreadable:
		f.fault = "no JSON of a problem"
	case p.Type != w.problem:
		f.fault = fmt.Sprintf("type %q", p.Type)
	default:
		f.fault = faultOfHeader(a.Header, problemType)
	}
}

// judgeUpload judges every line; the first that is wrong becomes the example. A line that says not-ready refuses the visit, as
// a 503 does: it is no wrong answer, and the others are judged all the same.
func (f *finding) judgeUpload(asks []question, a load.Answer) {
	f.outcome, f.got = Upload, a.Body
	lines := bytes.Split(bytes.TrimSuffix(a.Body, []byte("\n")), []byte("\n"))
	if len(lines) != len(asks) {
		f.fault = fmt.Sprintf("%d lines", len(lines))
		return
	}
	f.fault = faultOfHeader(a.Header, linesType)
	for k, q := range asks {
		said, fault := read(lines[k])
		if fault == "" && said == notReady && q.want.problem != scanedge.MalformedCode {
			f.outcome = load.Refused
			continue
		}
		if fault = cmp.Or(fault, f.faultOf(q.want, said, a.At)); fault != "" {
			f.fault = fmt.Sprintf("line %d, %s", k+1, fault)
			f.code, f.expected, f.got = q.text(a.At), q.want.String(), lines[k]
			return
		}
	}
}

// notReady is the line of an edge whose table has yet to catch up.
var notReady = said{Error: scanedge.NotReady}

// faultOfHeader wants the content type, with or without parameters, and that nobody keeps the answer: a verdict out of a
// cache is a wrong one tomorrow.
func faultOfHeader(h http.Header, contentType string) string {
	got, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if strings.TrimSpace(got) != contentType {
		return fmt.Sprintf("content type %q", h.Get("Content-Type"))
	}
	if h.Get("Cache-Control") != "no-store" {
		return "no Cache-Control: no-store"
	}
	return ""
}
