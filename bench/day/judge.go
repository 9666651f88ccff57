package day

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"sync/atomic"
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

// Judge says what the answer to a visit is worth, which [Script.Visit] made and which was sent as it is. It allocates nothing where
// an edge said what nearly every answer says.
func (s *Script) Judge(sent *load.Visit, a *load.Answer) load.Judgement {
	v, f := sent.Asked.(*visit), finding{script: s, own: s.own(), got: a.Body}
	switch {
	case a.Code != http.StatusOK:
		f.judgeProblem(v, a)
	case v.upload:
		f.judgeUpload(v.wants, a)
	default:
		f.judgeVerdict(v.wants[0], a)
	}
	if f.fault == "" {
		return load.Judgement{Outcome: f.outcome}
	}
	return load.Judgement{Outcome: f.outcome, Wrong: &load.Example{
		Code: sentCode(sent, f.line), Edge: s.edges[sent.Edge].Name, Offset: f.offset, Expected: cmp.Or(f.expected, expected(v)),
		Got: fmt.Sprintf("%s: %d %s", f.fault, a.Code, clip(f.got)),
	}}
}

func expected(v *visit) string {
	switch w := v.wants[0]; {
	case v.upload:
		return fmt.Sprintf("200 with %d lines", len(v.wants))
	case w.problem != "":
		return fmt.Sprintf("%d %s", w.problem.Status(), w)
	default:
		return "200 " + w.String()
	}
}

// finding is what one answer turned out to be.
type finding struct {
	script *Script
	own    *Subjects // nil: the run has no subjects of its own

	outcome  load.Outcome
	fault    string // "" when it is right
	line     int    // of an upload, where the fault is
	offset   uint64 // that was said there
	expected string // of an upload's line
	got      []byte
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

func (f *finding) judgeVerdict(w want, a *load.Answer) {
	said, fault := read(a.Body, w)
	f.outcome, f.offset = said.outcome(), said.Offset
	switch {
	case w.problem != "":
		f.fault = "a verdict"
	case fault != "":
		f.fault = fault
	default:
		f.fault = cmp.Or(faultOfHeader(a, verdictType), f.faultOf(w, said, a.At))
	}
}

// judgeProblem judges an answer other than 200.
func (f *finding) judgeProblem(v *visit, a *load.Answer) {
	w := v.wants[0]
	word, readable := f.script.problems.read(a.Body, w.problem)
	f.outcome = Other
	switch word {
	case scanedge.UnknownSubject, scanedge.MalformedCode, scanedge.IssuerNotHeld, scanedge.ForgedCode, scanedge.CodeExpired:
		f.outcome = load.Outcome(word)
	}
	if f.own != nil && w.moves > 0 {
		w = f.own.settle(w, onlyError(word), a.At)
	}
	switch {
	case v.upload || w.problem == "":
		f.fault = "a problem"
	case a.Code != w.problem.Status():
		f.fault = "the status"
	case !readable:
		f.fault = "no JSON of a problem"
	case word != w.problem:
		f.fault = fmt.Sprintf("type %q", word)
	default:
		f.fault = faultOfHeader(a, problemType)
	}
}

// judgeUpload judges every line; the first that is wrong becomes the example. A line that says not-ready refuses the visit, as
// a 503 does: it is no wrong answer, and the others are judged all the same.
func (f *finding) judgeUpload(wants []want, a *load.Answer) {
	f.outcome = Upload
	body := bytes.TrimSuffix(a.Body, []byte("\n"))
	if lines := 1 + bytes.Count(body, []byte("\n")); lines != len(wants) {
		f.fault = fmt.Sprintf("%d lines", lines)
		return
	}
	f.fault = faultOfHeader(a, linesType)
	for k, w := range wants {
		line, rest, _ := bytes.Cut(body, []byte("\n"))
		body = rest
		said, fault := read(line, w)
		if fault == "" && said == notReady && w.problem != scanedge.MalformedCode {
			f.outcome = load.Refused
			continue
		}
		if fault = cmp.Or(fault, f.faultOf(w, said, a.At)); fault != "" {
			f.fault = fmt.Sprintf("line %d, %s", k+1, fault)
			f.line, f.offset, f.expected, f.got = k, said.Offset, w.String(), line
			return
		}
	}
}

// notReady is the line of an edge whose table has yet to catch up.
var notReady = onlyError(scanedge.NotReady)

// faultOfHeader wants the content type, with or without parameters, and that nobody keeps the answer: a verdict out of a
// cache is a wrong one tomorrow.
func faultOfHeader(a *load.Answer, contentType string) string {
	got, _, _ := bytes.Cut(a.ContentType, []byte(";"))
	if string(bytes.TrimSpace(got)) != contentType {
		return fmt.Sprintf("content type %q", a.ContentType)
	}
	if string(a.CacheControl) != "no-store" {
		return "no Cache-Control: no-store"
	}
	return ""
}

// problems keeps of each problem that visits want the last answer that said it, whole: edges say the same each time, and to compare costs
// less than to read JSON.
type problems map[scanedge.ProblemType]*atomic.Pointer[[]byte]

func newProblems() problems {
	p := problems{}
	for _, word := range []scanedge.ProblemType{scanedge.UnknownSubject, scanedge.MalformedCode, scanedge.IssuerNotHeld,
		scanedge.ForgedCode, scanedge.CodeExpired} {
		p[word] = new(atomic.Pointer[[]byte])
	}
	return p
}

// read returns the word of a problem where another, or the same, is wanted. It reports false for what is no JSON of one.
func (p problems) read(body []byte, wanted scanedge.ProblemType) (word scanedge.ProblemType, ok bool) {
	last := p[wanted]
	if last != nil {
		if b := last.Load(); b != nil && bytes.Equal(*b, body) {
			return wanted, true
		}
	}
	var read struct {
		Type scanedge.ProblemType `json:"type"`
	}
	ok = json.Unmarshal(body, &read) == nil
	if ok && read.Type == wanted && last != nil {
		b := bytes.Clone(body)
		last.Store(&b)
	}
	return read.Type, ok
}
