package fleet

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const exposition = `# HELP scanedge_scans_total scans by verdict
# TYPE scanedge_scans_total counter
scanedge_scans_total{issuer="demo-a",outcome="green"} 41
scanedge_scans_total{issuer="demo-a",outcome="unknown-subject"} 1
scanedge_scans_totals 1000

scanedge_offset{issuer="demo-a"} 12
scanedge_offset{issuer="demo-b"} 1.3e+07 1700000000000
odd{path="/a b}\"{",n="1"} -0.5
	go_goroutines 8
nan NaN
inf +Inf
`

func TestMetricsAreRead(t *testing.T) {
	m, err := parseMetrics(strings.NewReader(exposition))
	must(t, err)
	if !math.IsNaN(m["nan"]) {
		t.Errorf("nan is %v", m["nan"])
	}
	delete(m, "nan")
	want := Metrics{
		`scanedge_scans_total{issuer="demo-a",outcome="green"}`: 41, `scanedge_scans_total{issuer="demo-a",outcome="unknown-subject"}`: 1,
		`scanedge_scans_totals`:            1000,
		`scanedge_offset{issuer="demo-a"}`: 12,
		`scanedge_offset{issuer="demo-b"}`: 13e6,
		`odd{path="/a b}\"{",n="1"}`:       -0.5,
		`go_goroutines`:                    8,
		`inf`:                              math.Inf(1),
	}
	if !maps.Equal(m, want) {
		t.Errorf("read %v\nwant %v", m, want)
	}
	if got := m.Sum("scanedge_scans_total"); got != 42 {
		t.Errorf("scans sum to %v", got)
	}
	if got := m.Sum("scanedge_scans_totals"); got != 1000 {
		t.Errorf("a series without labels sums to %v", got)
	}
	if got, ok := m.Issuer("scanedge_offset", "demo-b"); !ok || got != 13e6 {
		t.Errorf("offset of demo-b: %v, %v", got, ok)
	}
	if _, ok := m.Issuer("scanedge_offset", "demo-c"); ok {
		t.Error("an issuer that is not there has an offset")
	}
}

func TestMetricsThatAreNone(t *testing.T) {
	for _, line := range []string{"a", "a b", `a{b="c"}`, `a{b="c"} x`, "a 1 2 3", `{a="b"`, "<html><body>hello"} {
		if m, err := parseMetrics(strings.NewReader("ok 1\n" + line + "\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q is read as %v, %v", line, m, err)
		}
	}
}

func TestReadMetricsSaysWhoDidNotAnswer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			fmt.Fprint(w, exposition)
			return
		}
		http.Error(w, "nothing here", http.StatusNotFound)
	}))
	defer s.Close()
	if m, err := ReadMetrics(t.Context(), s.URL); err != nil || m["go_goroutines"] != 8 {
		t.Errorf("%v, %v", m, err)
	}
	_, err := ReadMetrics(t.Context(), s.URL+"/elsewhere")
	if err == nil || !strings.Contains(err.Error(), s.URL+"/elsewhere/metrics answers 404 Not Found: nothing here") {
		t.Errorf("an answer of 404: %v", err)
	}
}

// Whatever is read comes back when it is written again, and nothing else does.
func FuzzMetrics(f *testing.F) {
	f.Add(exposition)
	f.Add("a{b=\"\\\\\"} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMetrics(strings.NewReader(text))
		if err != nil {
			return
		}
		var again strings.Builder
		for name, v := range m {
			fmt.Fprintf(&again, "%s %v\n", name, v)
		}
		same, err := parseMetrics(strings.NewReader(again.String()))
		if err != nil || !maps.EqualFunc(m, same, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }) {
			t.Errorf("%v\ncomes back as %v, %v", m, same, err)
		}
	})
}
