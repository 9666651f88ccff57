package day

import (
	"bytes"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/scanedge/scanedge"
)

// said is what a verdict, or a line of an upload, says. Pointers, and an age below 0, tell what is absent from what is zero.
type said struct {
	Issuer string               `json:"issuer"`
	Status scanedge.Status      `json:"status"`
	Until  *time.Time           `json:"until"`
	Reason *int                 `json:"reason"`
	Offset uint64               `json:"offset"`
	AgeMS  int64                `json:"age_ms"`
	Stale  bool                 `json:"stale"`
	Error  scanedge.ProblemType `json:"error"`
}

// onlyError is what a line says that has an error, and nothing besides.
func onlyError(word scanedge.ProblemType) said { return said{AgeMS: -1, Error: word} }

// read takes a verdict or a line apart, where w is wanted.
func read(body []byte, w want) (s said, fault string) {
	if s, ok := scan(body, w); ok {
		return s, ""
	}
	return readJSON(body)
}

// readJSON is strict where encoding/json is not: names in their exact case, none twice, UTF-8.
func readJSON(body []byte) (s said, fault string) {
	s.AgeMS = -1
	if err := json.Unmarshal(body, &s); err != nil {
		return said{}, "no JSON of a verdict"
	}
	return s, ""
}

// scan reads what nearly every answer is: byte for byte the form in which an edge writes a verdict of the wanted issuer, or a line with
// the wanted error. It costs a tenth of reading JSON. Of everything else it says that it can't read it, also where JSON could.
func scan(body []byte, w want) (s said, ok bool) {
	t := text(body)
	if w.problem != "" {
		return onlyError(w.problem), t.eat(`{"error":"`) && t.eat(string(w.problem)) && t.eat(`"}`) && t.over()
	}
	ok = t.eat(`{"issuer":"`) && t.eat(w.issuer) && t.eat(`","status":"`) && t.status(&s.Status) &&
		t.eat(`,"offset":`) && t.number(&s.Offset)
	var age, seen uint64
	ok = ok && t.eat(`,"age_ms":`) && t.number(&age)
	s.Issuer, s.AgeMS, s.Stale = w.issuer, int64(age), t.eat(`,"stale":true`)
	if t.eat(`,"seen_ms_ago":`) {
		ok = ok && t.number(&seen)
	}
	return s, ok && t.eat("}") && t.over()
}

// text is what is left to read. Its methods take away what they name, or report that it does not stand there.
type text []byte

func (t *text) eat(word string) bool {
	if len(*t) < len(word) || string((*t)[:len(word)]) != word {
		return false
	}
	*t = (*t)[len(word):]
	return true
}

// over reports that nothing follows, but for the end of a line.
func (t *text) over() bool { return len(*t) == 0 || len(*t) == 1 && (*t)[0] == '\n' }

// status reads one of the words, and the quote after it.
func (t *text) status(s *scanedge.Status) bool {
	n := bytes.IndexByte(*t, '"')
	if n < 0 {
		return false
	}
	switch string((*t)[:n]) {
	case string(scanedge.Green):
		*s = scanedge.Green
	case string(scanedge.Yellow):
		*s = scanedge.Yellow
	case string(scanedge.Red):
		*s = scanedge.Red
	case string(scanedge.Void):
		*s = scanedge.Void
	default: // lapsed is rare, and has an until
		return false
	}
	*t = (*t)[n+1:]
	return true
}

// number reads an integer of at most 18 digits, as JSON writes it.
func (t *text) number(to *uint64) bool {
	n, sum := 0, uint64(0)
	for ; n < len(*t) && (*t)[n] >= '0' && (*t)[n] <= '9'; n++ {
		sum = sum*10 + uint64((*t)[n]-'0')
	}
	if n == 0 || n > 18 || n > 1 && (*t)[0] == '0' {
		return false
	}
	*to, *t = sum, (*t)[n:]
	return true
}
