package day

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/bench/load"
)

func scenario(t testing.TB, name string) *Scenario {
	t.Helper()
	s, err := LoadScenario(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scenarioScript is a script of a scenario for the test population.
func scenarioScript(t testing.TB, name string, visits, seed uint64) (*Script, uint64) {
	t.Helper()
	s := scenario(t, name)
	requests, _ := s.Requests(visits)
	c := Config{Edges: testEdges, Population: testPopulation, Seed: seed, Schedule: load.Constant{N: requests, For: time.Hour},
		Scenario: s, CodeKeys: testCodeKeys, Visits: visits}
	script, err := c.script(nil)
	if err != nil {
		t.Fatal(err)
	}
	script.now = func() time.Time { return noon }
	return script, requests
}

// The visits are as many as were asked for, an upload's codes one each, and every operation has its share of them.
func TestScenarioSharesOfVisits(t *testing.T) {
	for _, name := range Scenarios() {
		const visits = 100_000
		script, requests := scenarioScript(t, name, visits, 2)
		sum := uint64(0)
		var got [operations]float64
		for i := range requests {
			v, _ := made(script, i)
			sum += uint64(v.Weight)
			got[v.Op] += float64(v.Weight)
			if (v.Key == "-") != (Operation(v.Op) == Own) && Operation(v.Op) != Repeat {
				t.Fatalf("visit %d of %v carries key %q", i, Operation(v.Op), v.Key)
			}
		}
		if sum != visits {
			t.Errorf("%s: %d requests are %d visits, want %d", name, requests, sum, visits)
		}
		for op, share := range script.mix.scenario.Shares {
			want := visits * share / 100
			if off := math.Abs(got[op] - want); off > 5*math.Sqrt(want)+200 {
				t.Errorf("%s: %.0f visits of %v, want %.0f", name, got[op], Operation(op), want)
			}
		}
	}
}

// Each kind of connection has its share of the requests, whichever edge they go to and whatever they ask.
func TestScenarioSharesOfConnections(t *testing.T) {
	script, _ := scenarioScript(t, "launch-day", 100_000, 2)
	const requests = 100_000
	var got [3][connectionKinds]float64
	for i := range uint64(requests) {
		r := script.Route(i)
		got[r.Edge][r.Kind]++
	}
	for edge := range got {
		for k, share := range script.mix.scenario.Connections {
			want := requests / 3 * share / 100
			if off := math.Abs(got[edge][k] - want); share == 0 || off > 5*math.Sqrt(want) {
				t.Errorf("%.0f requests to edge %d over %v, want %.0f", got[edge][k], edge, load.Kind(k), want)
			}
		}
	}
	simple := NewScript(1, testEdges, testPopulation)
	for i := range uint64(100) {
		if r := simple.Route(i); r.Kind != load.Kept {
			t.Fatalf("without a scenario, visit %d goes over %v", i, r.Kind)
		}
	}
}

// A fleet without TLS is no fleet for a scenario that wants it.
func TestScenarioNeedsTLS(t *testing.T) {
	c := Config{Edges: []load.Edge{{Name: "edge-7", URL: "http://127.0.0.1:1"}}, Population: testPopulation, Scenario: scenario(t, "launch-day"),
		CodeKeys: testCodeKeys, Visits: 1, Schedule: load.Constant{N: 1, For: time.Second}}
	if _, err := Play(t.Context(), c); err == nil || !strings.Contains(err.Error(), "edge edge-7 has no address for TLS, over which 0.2 %") {
		t.Errorf("%v", err)
	}
	c.Scenario.Connections = [connectionKinds]float64{load.New: 100}
	if _, err := c.script(nil); err != nil {
		t.Error(err)
	}
}

// A repeat asks what was asked last, and everything follows from seed and number.
func TestRepeatsAndSeeds(t *testing.T) {
	one, requests := scenarioScript(t, "retry-storm", 5000, 3)
	again, _ := scenarioScript(t, "retry-storm", 5000, 3)
	repeats := 0
	last, _ := made(one, 0)
	for i := range requests {
		v, _ := made(one, i)
		if a, b := wire(one, i), wire(again, i); a != b {
			t.Fatalf("visit %d is %s, then %s", i, a, b)
		}
		switch Operation(v.Op) {
		case Repeat:
			if repeats++; string(v.Path) != string(last.Path) || string(v.Body) != string(last.Body) || v.Key != last.Key {
				t.Fatalf("visit %d repeats %q as %q", i, last.Path, v.Path)
			}
		case Uploaded:
		default:
			last = v
		}
	}
	if repeats < int(requests)/3 {
		t.Errorf("%d repeats of %d", repeats, requests)
	}
}

// Some residents come more often than others, the busiest not more than some ten times the mean, and all have their turn.
func TestResidentsAreSkewed(t *testing.T) {
	script, _ := scenarioScript(t, "launch-day", 1000, 4)
	seen := map[string]int{}
	const throws = 200_000
	for i := range uint64(throws) {
		k, number := script.visitor(throw(4, i))
		seen[fmt.Sprint(k, number)]++
	}
	mean, most := float64(throws)/float64(testPopulation.Subjects), 0
	for _, n := range seen {
		most = max(most, n)
	}
	if times := float64(most) / mean; times < 4 || times > 10 || len(seen) != int(testPopulation.Subjects) {
		t.Errorf("the busiest comes %.1f times the mean; %d of %d were seen", times, len(seen), testPopulation.Subjects)
	}
}

// playable makes the fleet's day that of a scenario.
func playable(t *testing.T, f *fakeFleet, name string) {
	f.config.Scenario, f.config.CodeKeys, f.config.Visits = scenario(t, name), testCodeKeys, 6000
	f.config.Scenario.Connections = [connectionKinds]float64{load.Kept: 100} // the fleet speaks no TLS
	requests, _ := f.config.Scenario.Requests(f.config.Visits)
	f.config.Schedule = load.Constant{N: requests, For: 4 * time.Second}
}

// A fleet that is right gets through a scenario, nothing of which is left then.
func TestHonestFleetThroughAScenario(t *testing.T) {
	f := newFleet(t, 2000, nil)
	playable(t, f, "launch-day")
	before := maps.Clone(f.records)
	r := play(t, t.Context(), f.config)
	if r.Wrong > 0 || len(timeless(r.Reasons)) > 0 || r.Accounts.Check() != nil {
		t.Errorf("wrong %d %v, reasons %q, accounts %v", r.Wrong, r.Examples, r.Reasons, r.Accounts.Check())
	}
	for _, want := range []load.Outcome{"green", "red", "lapsed", "unknown-subject", "malformed-code", "issuer-not-held", "forged-code", "code-expired", Upload} {
		if r.Accounts.Outcomes[want] == 0 {
			t.Errorf("no %s among %v", want, r.Accounts.Outcomes)
		}
	}
	if !reflect.DeepEqual(f.records, before) {
		t.Errorf("the run left %d records of %d", len(f.records), len(before))
	}
	registered := 0
	for code := range f.pushed {
		_, name, _ := strings.Cut(code, ":")
		if !strings.HasPrefix(name, "day-1-") {
			t.Errorf("%s was pushed, which is not of this run", code)
		}
		if strings.HasPrefix(name, "day-1-r") {
			registered++
		}
	}
	if registered < 18 { // of 1 % of 2000, the last tick may fall behind the end
		t.Errorf("%d subjects were registered", registered)
	}
}

// An edge that takes a forged code, or one whose time is over, for a good one is caught.
func TestVerdictsForForgedCodesAreFound(t *testing.T) {
	for _, word := range []string{"forged-code", "code-expired"} {
		f := newFleet(t, 2000, func(_ uint64, ctx *fasthttp.RequestCtx) {
			if bytes.Contains(ctx.Response.Body(), []byte(`"type":"`+word)) {
				ctx.SetStatusCode(fasthttp.StatusOK)
				ctx.SetContentType("application/json")
				ctx.SetBodyString(`{"issuer":"demo-a","status":"green","offset":9}`)
			}
		})
		playable(t, f, "launch-day")
		r := play(t, t.Context(), f.config)
		if r.Wrong == 0 || !strings.Contains(r.Examples[0].Expected, word) || !strings.Contains(r.Examples[0].Got, "a verdict") {
			t.Errorf("%s: wrong %d %v", word, r.Wrong, r.Examples)
		}
	}
}

func TestLoadCodeKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "code-keys.json")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"version":1,"issuers":{"demo-a":[{"id":3,"key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="},{"id":2,"key":"AA=="}],"new":[]}}`)
	if keys, err := LoadCodeKeys(path); err != nil || len(keys) != 1 || !reflect.DeepEqual(keys["demo-a"], testCodeKeys["demo-a"]) {
		t.Errorf("%v, %v", keys, err)
	}
	write(`{`)
	if _, err := LoadCodeKeys(path); err == nil || !strings.Contains(err.Error(), "is no file of code keys") {
		t.Errorf("%v", err)
	}
	c := Config{Edges: testEdges, Population: testPopulation, Schedule: load.Constant{N: 1, For: 1}, Scenario: scenario(t, "spike")}
	if _, err := c.script(nil); err == nil || !strings.Contains(err.Error(), "issuer demo-a has no code key") {
		t.Errorf("%v", err)
	}
}
