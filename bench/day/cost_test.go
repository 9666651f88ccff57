package day

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// rightAnswer is what an honest edge says to a visit of one code.
func rightAnswer(w want) *load.Answer {
	a := answer(http.StatusOK, verdictType, fmt.Sprintf(`{"issuer":%q,"status":%q,"offset":123456,"age_ms":512}`, w.issuer, w.status))
	if w.problem != "" {
		a = answer(w.problem.Status(), problemType, string(scanedge.NewProblem(w.problem, "").JSON()))
	}
	return &a
}

// visitOf returns a script's first visit of an operation, and the right answer to it.
func visitOf(t testing.TB, s *Script, op Operation) (uint64, *load.Answer) {
	for i := range uint64(100_000) {
		_, v := made(s, i)
		if v.op != op || len(v.wants) == 1 && v.wants[0].status == scanedge.Lapsed {
			continue
		}
		if !v.upload {
			return i, rightAnswer(v.wants[0])
		}
		a := answer(http.StatusOK, linesType, "")
		for _, line := range right(v.wants) {
			a.Body = append(a.Body, line+"\n"...)
		}
		return i, &a
	}
	t.Fatalf("no visit of %v", op)
	return 0, nil
}

// Making a visit and judging its answer leaves nothing to collect.
func TestVisitsAndJudgementsAllocateNothing(t *testing.T) {
	s, _ := scenarioScript(t, "launch-day", 100_000, 1)
	for _, op := range []Operation{Own, Plain, Rolling, Contacts, Foreign, Unknown, Forged, Expired, Malformed} {
		i, a := visitOf(t, s, op)
		v, _ := made(s, i)
		s.Judge(v, a)
		if n := testing.AllocsPerRun(100, func() { s.Visit(i, v) }); n > 0 {
			t.Errorf("%v: making one allocates %v times", op, n)
		}
		if n := testing.AllocsPerRun(100, func() { s.Judge(v, a) }); n > 0 {
			t.Errorf("%v: judging one allocates %v times", op, n)
		}
	}
}

func BenchmarkVisit(b *testing.B) {
	s, _ := scenarioScript(b, "launch-day", 1_000_000, 1)
	for op := range Operation(operations - 1) {
		b.Run(op.String(), func(b *testing.B) {
			i, _ := visitOf(b, s, op)
			v, _ := made(s, i)
			b.ReportAllocs()
			for b.Loop() {
				s.Visit(i, v)
			}
		})
	}
}

func BenchmarkJudge(b *testing.B) {
	s, _ := scenarioScript(b, "launch-day", 1_000_000, 1)
	for op := range Operation(operations - 1) {
		b.Run(op.String(), func(b *testing.B) {
			i, a := visitOf(b, s, op)
			v, _ := made(s, i)
			if op != Registered && op != Changed && s.Judge(v, a).Wrong != nil {
				b.Fatalf("%s is not the right answer to %s", a.Body, v.Path)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.Judge(v, a)
			}
		})
	}
}

// scan accepts nothing that JSON refuses, and reads nothing else from it.
func FuzzRead(f *testing.F) {
	verdict, unknown := wantGreen, unknownSubject
	for _, body := range []string{
		`{"issuer":"demo-a","status":"green","offset":1,"age_ms":3}`,
		`{"issuer":"demo-a","status":"void","offset":0,"age_ms":0,"stale":true}` + "\n",
		`{"issuer":"demo-a","status":"yellow","offset":999999999999999999,"age_ms":07,"seen_ms_ago":5}`,
		`{"issuer":"demo-a","status":"red","offset":1,"age_ms":3,"stale":true,"seen_ms_ago":}`,
		`{"issuer":"demo-a","status":"red","until":"2030-01-01T00:00:00Z","offset":1,"age_ms":3}`,
		`{"issuer":"demo-a","status":"green","offset":99999999999999999999,"age_ms":3}`,
		`{"issuer":"demo-a","status":"green","offset":1,"age_ms":-3}}`,
		`{"error":"unknown-subject"}`, `{"error":"unknown-subject","status":"green"}`, `{"error":"unknown-subject"}{}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, w := range []want{verdict, unknown} {
			if got, ok := scan(body, w); ok {
				if slow, fault := readJSON(body); fault != "" || got != slow {
					t.Errorf("%q is %+v, by JSON %+v %s", body, got, slow, fault)
				}
			}
		}
	})
}

// What edges say is read without JSON.
func TestScanReadsWhatEdgesSay(t *testing.T) {
	for body, want := range map[string]said{
		`{"issuer":"demo-a","status":"green","offset":17,"age_ms":456}` + "\n":       {Issuer: "demo-a", Status: "green", Offset: 17, AgeMS: 456},
		`{"issuer":"demo-a","status":"void","offset":17,"age_ms":0,"seen_ms_ago":5}`: {Issuer: "demo-a", Status: "void", Offset: 17},
		`{"issuer":"demo-a","status":"red","offset":1,"age_ms":3456,"stale":true}`:   {Issuer: "demo-a", Status: "red", Offset: 1, AgeMS: 3456, Stale: true},
	} {
		if got, ok := scan([]byte(body), wantGreen); !ok || got != want {
			t.Errorf("%s is %+v, %v", body, got, ok)
		}
	}
	if got, ok := scan([]byte(`{"error":"unknown-subject"}`), unknownSubject); !ok || got != onlyError("unknown-subject") {
		t.Errorf("an error is %+v, %v", got, ok)
	}
}

var wantGreen = want{issuer: "demo-a", status: scanedge.Green}
