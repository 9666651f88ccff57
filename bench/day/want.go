package day

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// want is what an edge must say of a code: a verdict, or a problem.
type want struct {
	issuer  string
	status  scanedge.Status
	problem scanedge.ProblemType // then there is no verdict

	moves  movement // of the run's own subjects, of which there may be more right answers; see [Subjects]
	number uint64
}

var (
	unknownSubject = want{problem: scanedge.UnknownSubject}
	malformedCode  = want{problem: scanedge.MalformedCode}
)

// String reads like "green of demo-a" or "malformed-code".
func (w want) String() string {
	if w.problem != "" {
		return string(w.problem)
	}
	return fmt.Sprintf("%s of %s", w.status, w.issuer)
}

// outcome is the status that came back, if it is one.
func (s said) outcome() load.Outcome {
	switch s.Status {
	case scanedge.Green, scanedge.Yellow, scanedge.Red, scanedge.Void, scanedge.Lapsed:
		return load.Outcome(s.Status)
	}
	return Other
}

// fault returns what is wrong with s at the time when it came, or "" if it is what is wanted.
func (w want) fault(s said, at time.Time) string {
	switch {
	case w.problem != "":
		return w.faultOfError(s)
	case s.Error != "":
		return "an error, not a verdict"
	case s.Issuer != w.issuer:
		return fmt.Sprintf("issuer %q", s.Issuer)
	case s.Status != w.status:
		return fmt.Sprintf("status %q", s.Status)
	case s.Reason != nil:
		return "a reason, though none was pushed"
	case s.Offset < 1:
		return "no offset"
	case s.AgeMS < 0:
		return "no age_ms"
	case s.AgeMS > lease.Milliseconds() && !s.Stale:
		return fmt.Sprintf("not marked as stale at an age of %d ms", s.AgeMS)
	}
	return w.faultOfUntil(s.Until, at)
}

// lease is how old a table may be whose verdicts are not marked as stale.
const lease = 3 * time.Second

// faultOfError judges a line that must be an error, and nothing besides.
func (w want) faultOfError(s said) string {
	if s.Error == "" {
		return "no error"
	}
	if s.Error != w.problem {
		return fmt.Sprintf("error %q", s.Error)
	}
	if s != onlyError(s.Error) {
		return "an error with a verdict"
	}
	return ""
}

func (w want) faultOfUntil(until *time.Time, at time.Time) string {
	switch lapsed := w.status == scanedge.Lapsed; {
	case lapsed && until == nil:
		return "lapsed, but no until"
	case lapsed && until.After(at):
		return "lapsed, but until is not over"
	case !lapsed && until != nil:
		return "an until, though none was pushed"
	}
	return ""
}

// clip makes one line of what came back, short and without what could steer a terminal.
func clip(body []byte) string {
	const most = 160
	more := ""
	if body = bytes.TrimSpace(body); len(body) > most {
		body, more = body[:most], "…"
	}
	return strings.Map(printable, string(body)) + more
}

func printable(r rune) rune {
	if unicode.IsControl(r) {
		return unicode.ReplacementChar
	}
	return r
}
