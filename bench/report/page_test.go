package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/bench/load"
)

// rush is a log of n seconds with a spike in the middle, which refuses and fails a few where it is spoilt.
func rush(n int, spoilt bool) []load.Second {
	all := make([]load.Second, n)
	for i := range all {
		rate := uint64(2000)
		if i > n/2 && i < n/2+n/10 {
			rate = 20_000
		}
		s := load.Second{Second: i, Planned: rate, Sent: rate, Answered: rate, Visits: rate * 2, Outcomes: map[load.Outcome]uint64{"green": rate}}
		s.Latency = load.Summary{P50: 0.6, P99: 2 + float64(rate)/2000, P999: 40, Max: 45, Count: int64(rate)}
		s.Lag = load.Summary{P50: 0.1, P99: 0.4 + float64(i%3)/10, Max: 3, Count: int64(rate)}
		s.Heat = []uint32{uint32(rate) / 5, uint32(rate) / 2, uint32(rate) * 3 / 10, 40, 20, 5, 2, 1, 1}
		s.Visible = load.Summary{P50: 3, P99: 5 + float64(i%7), Max: 12, Count: int64(i % 4)}
		s.Processor = load.Processor{Own: 0.1 + float64(rate)/1e5, Machine: 0.3 + float64(rate)/5e4, Stolen: 0.01}
		s.Servers = []load.Server{{Name: "edge-1", Processor: float64(rate) / 2e4, Resident: 40e6 + uint64(i)*1e4}}
		if i < n/3 || i > n/2 { // it was dead in between
			s.Servers = append(s.Servers, load.Server{Name: "edge-2", Processor: float64(rate) / 3e4, Resident: 38e6})
		}
		if spoilt && rate > 2000 {
			s.Outcomes = map[load.Outcome]uint64{"green": rate - 30, load.Refused: 20, load.Failed: 10}
			s.Wrong = 3
		}
		all[i] = s
	}
	return all
}

func logOf(t *testing.T, dir string, seconds []load.Second, rest string) {
	t.Helper()
	var b strings.Builder
	for _, s := range seconds {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	if err := os.WriteFile(filepath.Join(dir, SecondsFile), []byte(b.String()+rest), 0o600); err != nil {
		t.Fatal(err)
	}
}

var elsewhere = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|@import|url\(|src=|href=|https?://`)

// The page says first whether it may be believed, asks for nothing from elsewhere, and lets no answer write into it.
func TestPage(t *testing.T) {
	for name, c := range map[string]struct {
		report        *Report
		seconds       []load.Second
		first         string
		has, has2, no string
	}{
		"valid":           {sample(), rush(100, false), "VALID</h1>", "None in 100 seconds", "<svg", "NaN"},
		"invalid":         {sample("late & <b>"), rush(1800, true), "INVALID</h1>", "late &amp; &lt;b&gt;", "errors a second by kind", "<b>\""},
		"no log":          {sample(), nil, "VALID</h1>", "No log of seconds", "canary", "<svg"},
		"one second":      {sample(), rush(1, false), "VALID</h1>", "<svg", "0:00", "NaN"},
		"an empty second": {sample(), []load.Second{{}}, "VALID</h1>", "None in 1 seconds", "<svg", "NaN"},
		"curves":          {sample(), rush(100, false), "VALID</h1>", "push to visible in milliseconds by time", "memory in MB of edge-2", "NaN"},
	} {
		c.report.PushToVisible.Count = 0
		c.report.Ops = []Op{{Name: "own<code>", Requests: 5, Visits: 500, Latency: load.Summary{Count: 5}}}
		c.report.Conclude(&Run{Mode: Rhythm, Targets: DefaultTargets})
		c.report.Examples = append(c.report.Examples, load.Example{Got: "<script>alert(1)</script>"})
		b, err := c.report.Page(c.seconds)
		if err != nil {
			t.Fatal(err)
		}
		got := string(b)
		if !strings.Contains(got[strings.Index(got, "<h1"):][:80], c.first) {
			t.Errorf("%s: begins %q", name, got[strings.Index(got, "<h1"):][:80])
		}
		if !strings.Contains(got, c.has) || !strings.Contains(got, c.has2) || strings.Contains(got, c.no) {
			t.Errorf("%s: has %q %v, %q %v, %q %v", name, c.has, strings.Contains(got, c.has), c.has2, strings.Contains(got, c.has2), c.no, strings.Contains(got, c.no))
		}
		for _, bad := range append(elsewhere.FindAllString(got, -1), regexp.MustCompile(`NaN|Inf|%!|ZgotmplZ`).FindAllString(got, -1)...) {
			t.Errorf("%s: the page has %q", name, bad)
		}
		if !strings.Contains(got, "own&lt;code&gt;") || !strings.Contains(got, "too few") || !strings.Contains(got, "500 visits") {
			t.Errorf("%s: no operation", name)
		}
		for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(got, -1) {
			if err := wellFormed(svg); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func wellFormed(text string) error {
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w in %.200s", err, text)
		}
	}
}

// Where nothing is known a line has a gap: a dead server needed no memory, and was not on its way to what it needs next.
func TestLinesHaveGaps(t *testing.T) {
	all := spans(rush(3, false), 3)
	c := newChart(100, 100, 0, "")
	c.long, c.top = 3, 1
	c.line("line", all, func(s *span) float64 {
		if s.from == 1 {
			return math.NaN()
		}
		return 0.5
	})
	if path := string(c.done()); strings.Count(path, "M") != 2 || strings.Contains(path, "L") || strings.Contains(path, "NaN") {
		t.Errorf("the line is %s", path)
	}
}

// Joining seconds for a chart loses nothing.
func TestSpans(t *testing.T) {
	seconds := rush(1801, true)
	var planned, heat, errors uint64
	for _, s := range spans(seconds, 300) {
		planned, errors = planned+s.planned, errors+s.wrong+s.failed+s.refused
		for _, n := range s.heat {
			heat += n
		}
	}
	var want, wantHeat, wantErrors uint64
	for _, s := range seconds {
		want, wantErrors = want+s.Planned, wantErrors+s.Wrong+s.Outcomes[load.Failed]+s.Outcomes[load.Refused]
		for _, n := range s.Heat {
			wantHeat += uint64(n)
		}
	}
	if n := len(spans(seconds, 300)); n > 300 || planned != want || heat != wantHeat || errors != wantErrors || errors == 0 {
		t.Errorf("%d spans of %d planned, %d in heat, %d errors; want %d, %d, %d", n, planned, heat, errors, want, wantHeat, wantErrors)
	}
}

// Answers that came in after the end make no second of their own, which would look as if the rate had fallen.
func TestStragglersBelongToTheLastSecond(t *testing.T) {
	seconds := append(rush(4, false), load.Second{Second: 4, Answered: 2, Heat: []uint32{2}})
	all := spans(seconds, 300)
	if last := all[len(all)-1]; len(all) != 4 || last.to != 4 || last.answered != 2002 || last.rate(last.planned) != 2000 {
		t.Errorf("%d spans, the last %+v", len(all), last)
	}
}

// What CI systems read: suites of cases whose counts agree with their failures.
func TestJUnit(t *testing.T) {
	type failure struct {
		Message string `xml:"message,attr"`
	}
	type suite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Cases    []struct {
			Output  string   `xml:"system-out"`
			Name    string   `xml:"name,attr"`
			Class   string   `xml:"classname,attr"`
			Failure *failure `xml:"failure"`
		} `xml:"testcase"`
	}
	ruled := sample("9 were not", "no canary")
	ruled.Rules = []Rule{{"on time", true, "99.8 % of seconds", ""}, {"all sent", false, "9 unsent", "9 were not"}}
	ruled.Wrong = 0
	for _, c := range []struct {
		report   *Report
		failures []string
	}{
		{kept(), nil},
		{ruled, []string{"the run can be believed: INVALID: 9 were not; no canary", "all sent: 9 were not", "rule 3 that was broken: no canary"}},
		{sample("late", "a \"canary\" < 1"), []string{
			"the run can be believed: INVALID: late; a \"canary\" < 1", "rule 1 that was broken: late", "rule 2 that was broken: a \"canary\" < 1",
			"wrong answers: FAIL  wrong answers 1, wanted 0",
		}},
	} {
		c.report.Conclude(&Run{Targets: DefaultTargets})
		b, err := c.report.JUnit()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			XMLName  xml.Name `xml:"testsuites"`
			Tests    int      `xml:"tests,attr"`
			Failures int      `xml:"failures,attr"`
			Suites   []suite  `xml:"testsuite"`
		}
		if err := xml.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		var failures []string
		tests := 0
		for _, s := range got.Suites {
			failed := 0
			for i, k := range s.Cases {
				if i > 0 && i <= len(c.report.Rules) && s.Name == "bench.validity" && k.Output != c.report.Rules[i-1].Measured {
					t.Errorf("case %q measured %q", k.Name, k.Output)
				}
				if k.Failure != nil {
					failures, failed = append(failures, k.Name+": "+k.Failure.Message), failed+1
				}
				if k.Class != s.Name {
					t.Errorf("case %q is of class %q in %q", k.Name, k.Class, s.Name)
				}
			}
			if tests += s.Tests; s.Tests != len(s.Cases) || s.Failures != failed {
				t.Errorf("suite %s says %d of %d failed, %d of %d did", s.Name, s.Failures, s.Tests, failed, len(s.Cases))
			}
		}
		if strings.Join(failures, "\n") != strings.Join(c.failures, "\n") || got.Failures != len(failures) || got.Tests != tests || len(got.Suites) != 2 {
			t.Errorf("%d of %d failed: %q\n%s", got.Failures, got.Tests, failures, b)
		}
	}
}
