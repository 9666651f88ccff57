package day

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func answer(code int, contentType, body string) load.Answer {
	return load.Answer{Code: code, Body: []byte(body), At: noon, ContentType: []byte(contentType), CacheControl: []byte("no-store")}
}

// made is visit i, and what it asks.
func made(s *Script, i uint64) (*load.Visit, *visit) {
	sent := &load.Visit{Number: i, Route: s.Route(i)}
	s.Visit(i, sent)
	return sent, sent.Asked.(*visit)
}

// find returns the number of the first visit of the kind.
func find(t *testing.T, s *Script, kind func(v *visit) bool) uint64 {
	t.Helper()
	for i := range uint64(100_000) {
		if _, v := made(s, i); kind(v) {
			return i
		}
	}
	t.Fatal("no such visit")
	return 0
}

func single(w func(want) bool) func(*visit) bool {
	return func(v *visit) bool { return !v.upload && w(v.wants[0]) }
}

// Each row is an answer to a visit of a kind; the first of each kind is right, and each of the others breaks one rule.
func TestEveryRuleOfAnAnswerFires(t *testing.T) {
	s := NewScript(1, testEdges, testPopulation)
	is := func(status scanedge.Status) func(*visit) bool {
		return single(func(w want) bool { return w.status == status && w.issuer == "demo-a" })
	}
	green, lapsed := is("green"), is("lapsed")
	unknown := single(func(w want) bool { return w == unknownSubject })
	bad := single(func(w want) bool { return w == malformedCode })
	const verdict, problem = "application/json", "application/problem+json"
	for _, c := range []struct {
		kind    func(*visit) bool
		answer  load.Answer
		outcome load.Outcome
		fault   string
	}{
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3,"later":"member"}`), "green", ""},
		{green, answer(200, verdict+"; charset=utf-8", `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3}`), "green", ""},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"red","offset":1,"age_ms":3}`), "red", `status "red"`},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"blue","offset":1,"age_ms":3}`), Other, `status "blue"`},
		{green, answer(200, verdict, `{"issuer":"demo-a","offset":1,"age_ms":3}`), Other, `status ""`},
		{green, answer(200, verdict, `{"issuer":"demo-b","status":"green","offset":1,"age_ms":3}`), "green", `issuer "demo-b"`},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green"}`), "green", "no offset"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":0,"age_ms":3}`), "green", "no offset"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1}`), "green", "no age_ms"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":-1}`), "green", "no age_ms"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3000}`), "green", ""},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3001}`), "green", "not marked as stale at an age of 3001 ms"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3001,"stale":false}`), "green", "not marked"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":9999,"stale":true,"seen_ms_ago":5}`), "green", ""},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":-1}`), Other, "no JSON of a verdict"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3,"reason":0}`), "green", "a reason"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3,"until":"2031-01-01T00:00:00Z"}`), "green", "an until"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3,"error":"not-ready"}`), "green", "an error"},
		{green, answer(200, verdict, `{"issuer":"demo-a","status":"red","status":"green","offset":1,"age_ms":3}`), Other, "no JSON of a verdict"},
		{green, answer(200, verdict, `green`), Other, "no JSON of a verdict"},
		{green, answer(200, verdict, ``), Other, "no JSON of a verdict"},
		{green, answer(200, "text/plain", `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3}`), "green", `content type "text/plain"`},
		{green, load.Answer{Code: 200, At: noon, Body: []byte(`{"issuer":"demo-a","status":"green","offset":1,"age_ms":3}`),
			ContentType: []byte(verdict)}, "green", "no Cache-Control"},
		{green, answer(404, problem, `{"type":"unknown-subject","status":404}`), "unknown-subject", "a problem"},
		{green, answer(404, problem, `{"type":"issuer-not-held","status":404}`), "issuer-not-held", "a problem"},
		{green, answer(500, "text/html", `<h1>oops`), Other, "a problem"},
		{green, answer(204, verdict, ``), Other, "a problem"},
		{lapsed, answer(200, verdict, `{"issuer":"demo-a","status":"lapsed","offset":9,"age_ms":3,"until":"2030-01-01T11:59:00Z"}`), "lapsed", ""},
		{lapsed, answer(200, verdict, `{"issuer":"demo-a","status":"lapsed","offset":9,"age_ms":3}`), "lapsed", "lapsed, but no until"},
		{lapsed, answer(200, verdict, `{"issuer":"demo-a","status":"lapsed","offset":9,"age_ms":3,"until":"2030-01-01T12:01:00Z"}`), "lapsed", "not over"},
		{lapsed, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":9,"age_ms":3,"until":"2020-01-01T00:00:00Z"}`), "green", `status "green"`},
		{unknown, answer(404, problem, `{"type":"unknown-subject","status":404,"title":"x"}`), "unknown-subject", ""},
		{unknown, answer(404, problem, `{"type":"issuer-not-held","status":404}`), "issuer-not-held", `type "issuer-not-held"`},
		{unknown, answer(400, problem, `{"type":"unknown-subject","status":400}`), "unknown-subject", "the status"},
		{unknown, answer(404, "application/json", `{"type":"unknown-subject"}`), "unknown-subject", "content type"},
		{unknown, answer(404, problem, `unknown-subject`), Other, "no JSON of a problem"},
		{unknown, answer(200, verdict, `{"issuer":"demo-a","status":"green","offset":1,"age_ms":3}`), "green", "a verdict"},
		{bad, answer(400, problem, `{"type":"malformed-code","status":400}`), "malformed-code", ""},
		{bad, answer(400, problem, `{"type":"bad-request","status":400}`), Other, `type "bad-request"`},
		{bad, answer(404, problem, `{"type":"unknown-subject","status":404}`), "unknown-subject", "the status"},
		{bad, answer(200, verdict, `{"error":"malformed-code"}`), Other, "a verdict"},
	} {
		i := find(t, s, c.kind)
		check(t, s, i, c.answer, c.outcome, c.fault)
	}
}

func check(t *testing.T, s *Script, i uint64, a load.Answer, outcome load.Outcome, fault string) {
	t.Helper()
	sent, v := made(s, i)
	j := s.Judge(sent, &a)
	if j.Outcome != outcome {
		t.Errorf("%d %s: outcome %s, want %s", a.Code, a.Body, j.Outcome, outcome)
	}
	if (j.Wrong == nil) != (fault == "") {
		t.Errorf("%d %s to %v: wrong is %+v, want %q", a.Code, a.Body, v.wants[0], j.Wrong, fault)
		return
	}
	if j.Wrong != nil && (!strings.Contains(j.Wrong.Got, fault) || j.Wrong.Edge != testEdges[sent.Edge].Name ||
		j.Wrong.Code == "" || j.Wrong.Expected == "") {
		t.Errorf("%d %s: %+v, want %q", a.Code, a.Body, j.Wrong, fault)
	}
}

// right is the answer to an upload that nothing can be said against.
func right(wants []want) (lines []string) {
	for _, w := range wants {
		switch {
		case w.problem != "":
			lines = append(lines, fmt.Sprintf(`{"error":%q}`, w.problem))
		case w.status == "lapsed":
			lines = append(lines, fmt.Sprintf(`{"issuer":%q,"status":"lapsed","until":"2020-01-01T00:00:00Z","offset":5,"age_ms":3}`, w.issuer))
		default:
			lines = append(lines, fmt.Sprintf(`{"issuer":%q,"status":%q,"offset":5,"age_ms":0}`, w.issuer, w.status))
		}
	}
	return lines
}

// line returns the place of the first line of a kind.
func line(wants []want, kind func(want) bool) int {
	for k, w := range wants {
		if kind(w) {
			return k
		}
	}
	return -1
}

func TestEveryRuleOfAnUploadFires(t *testing.T) {
	s := NewScript(1, testEdges, testPopulation)
	green := func(w want) bool { return w.status == "green" }
	lapsed := func(w want) bool { return w.status == "lapsed" }
	failing := func(w want) bool { return w.problem != "" }
	i := find(t, s, func(v *visit) bool {
		return v.upload && line(v.wants, green) > 0 && line(v.wants, failing) > 0 && line(v.wants, lapsed) >= 0
	})
	sent, v := made(s, i)
	g, e := line(v.wants, green), line(v.wants, failing)
	with := func(k int, line string) string {
		lines := right(v.wants)
		lines[k] = line
		return strings.Join(lines, "\n") + "\n"
	}
	all := strings.Join(right(v.wants), "\n")
	const ndjson = "application/x-ndjson"
	for _, c := range []struct {
		answer  load.Answer
		outcome load.Outcome
		fault   string
	}{
		{answer(200, ndjson, all+"\n"), Upload, ""},
		{answer(200, ndjson, all), Upload, ""},
		{answer(200, ndjson, all+"\n\n"), Upload, "21 lines"},
		{answer(200, ndjson, all[strings.Index(all, "\n")+1:]), Upload, "19 lines"},
		{answer(200, ndjson, ""), Upload, "1 lines"},
		{answer(200, "application/json", all), Upload, "content type"},
		{answer(200, ndjson, with(g, `{"issuer":"demo-a","status":"void","offset":5,"age_ms":3}`)), Upload, fmt.Sprintf("line %d, ", g+1)},
		{answer(200, ndjson, with(g, `{"error":"unknown-subject"}`)), Upload, "an error, not a verdict"},
		{answer(200, ndjson, with(g, `oops`)), Upload, "no JSON of a verdict"},
		{answer(200, ndjson, with(e, `{"error":"issuer-not-held"}`)), Upload, `error "issuer-not-held"`},
		{answer(200, ndjson, with(e, `{"issuer":"demo-a","status":"green","offset":5,"age_ms":3}`)), Upload, "no error"},
		{answer(200, ndjson, with(e, fmt.Sprintf(`{"status":"green","error":%q}`, v.wants[e].problem))), Upload, "an error with a verdict"},
		{answer(200, ndjson, with(g, `{"error":"not-ready"}`)), load.Refused, ""},
		{answer(200, ndjson, with(g, `{"error":"not-ready","status":"green"}`)), Upload, "an error, not a verdict"},
		{answer(200, ndjson, strings.Replace(with(g, `{"error":"not-ready"}`), `"green"`, `"red"`, 1)), load.Refused, "status \"red\""},
		{answer(400, "application/problem+json", `{"type":"malformed-code","status":400}`), "malformed-code", "a problem"},
		{answer(413, "application/problem+json", `{"type":"too-large","status":413}`), Other, "a problem"},
	} {
		check(t, s, i, c.answer, c.outcome, c.fault)
	}
	first := find(t, s, func(v *visit) bool { return v.upload && v.wants[0] == unknownSubject })
	check(t, s, first, answer(404, "application/problem+json", `{"type":"unknown-subject","status":404}`), "unknown-subject", "a problem")
	strange := answer(200, ndjson, with(e, `{"error":"not-found"}`))
	wrong := s.Judge(sent, &strange).Wrong
	if code := strings.Split(string(sent.Body), v.eol)[e]; wrong.Code != code || wrong.Expected != string(v.wants[e].problem) {
		t.Errorf("example %+v is not of line %d, %q", wrong, e+1, code)
	}
}

func TestExamplesAreShortAndHarmless(t *testing.T) {
	s := NewScript(1, testEdges, testPopulation)
	sent, _ := made(s, 0)
	page := answer(500, "text/html", "\x1b[2J\n"+strings.Repeat("x", 1<<16))
	j := s.Judge(sent, &page)
	if got := j.Wrong.Got; len(got) > 300 || strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("got %q", got)
	}
}

// The code of an example is the one that was sent, whatever the clock says by now, and its offset the one that was said.
func TestExamplesSayWhatWasSentAndSaid(t *testing.T) {
	s, _ := scenarioScript(t, "launch-day", 100_000, 1)
	i := find(t, s, func(v *visit) bool { return v.op == Rolling })
	sent, _ := made(s, i)
	path := string(sent.Path)
	s.now = func() time.Time { return noon.Add(time.Hour) }
	wrong := answer(200, verdictType, `{"issuer":"demo-z","status":"green","offset":422,"age_ms":3}`)
	if e := s.Judge(sent, &wrong).Wrong; e == nil || "/v1/scan/"+e.Code != path || e.Offset != 422 {
		t.Errorf("%s was sent, the example is %+v", path, e)
	}
	if s.Visit(i, sent); string(sent.Path) == path {
		t.Error("an hour later the code is the same")
	}
}
