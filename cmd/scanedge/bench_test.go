package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/bench/day"
	"github.com/scanedge/scanedge/bench/load"
	"github.com/scanedge/scanedge/bench/report"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// runBench runs `scanedge bench day` and returns what it printed and its exit code.
func runBench(t *testing.T, args ...string) (string, int) {
	t.Helper()
	root, out := newRoot(), new(strings.Builder)
	root.SetOut(out)
	root.SetErr(io.Discard)
	root.SetArgs(append([]string{"bench", "day"}, args...))
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	out.WriteString(err.Error())
	code := exitFailure
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		code = exit.code
	}
	return out.String(), code
}

// writeUp writes an up.json and returns its path.
func writeUp(t *testing.T, up fleet.Up) string {
	t.Helper()
	b, err := json.Marshal(up)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "up.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBenchDayUsage(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.json")
	if err := os.WriteFile(garbage, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, empty := upForTests, upForTests
	empty.Subjects = 0
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no visits":      {[]string{"--up", writeUp(t, good), "--visits", "0"}, "--visits is 0"},
		"no duration":    {[]string{"--up", writeUp(t, good), "--duration", "999ms"}, "--duration is 999ms"},
		"no number":      {[]string{"--visits", "many"}, "many"},
		"no up.json":     {[]string{"--up", filepath.Join(dir, "none", "up.json")}, "no fleet is up at"},
		"garbage":        {[]string{"--up", garbage}, "garbage.json"},
		"no subjects":    {[]string{"--up", writeUp(t, empty)}, "0 demo subjects"},
		"out is a file":  {[]string{"--up", writeUp(t, good), "--out", garbage}, "--out"},
		"out takes none": {[]string{"--up", writeUp(t, good), "--out", "/proc/self"}, "--out"},
		"an argument":    {[]string{"noon"}, "noon"},
		"no mode":        {[]string{"--up", writeUp(t, good), "--mode", "noon"}, `--mode is "noon"`},
		"no curve":       {[]string{"--up", writeUp(t, good), "--mode", "rhythm"}, "--mode rhythm needs a --scenario"},
		"no scenario":    {[]string{"--up", writeUp(t, good), "--scenario", "noon"}, "--scenario: there is no scenario and no file noon"},
		"no keys":        {[]string{"--up", writeUp(t, good), "--scenario", "spike"}, "no file of code keys"},
		"over a day":     {[]string{"--up", writeUp(t, good), "--scenario", "spike", "--mode", "rhythm", "--duration", "25h"}, "24h at most"},
		"past midnight":  {[]string{"--up", writeUp(t, good), "--scenario", "spike", "--mode", "slice", "--from", "23h", "--duration", "2h"}, "go beyond the day"},
		"unknown flag":   {[]string{"--speed", "1"}, "--speed"},
	} {
		if got, code := runBench(t, c.args...); code != exitUsage || !strings.Contains(got, c.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", name, code, got, exitUsage, c.want)
		}
	}
}

// A fleet that is gone makes a run invalid, and the report says so in both forms.
func TestBenchDayAgainstAFleetThatIsGone(t *testing.T) {
	up := upForTests
	up.Origin = "http://127.0.0.1:1"
	out := filepath.Join(t.TempDir(), "made", "here")
	got, code := runBench(t, "--up", writeUp(t, up), "--out", out, "--visits", "70", "--seed", "9")
	if code != report.ExitInvalid || !strings.Contains(got, "70 of 70 visits not at all; a canary could not be set: ") {
		t.Errorf("exit %d, %s", code, got)
	}
	b, err := os.ReadFile(filepath.Join(out, report.File))
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(b, &r); err != nil || r.Valid || r.Unsent != 70 || r.Seed != 9 || r.Version == "" || len(r.Reasons) != 2 {
		t.Errorf("%v, report %s", err, b)
	}
}

func TestBenchDayConfig(t *testing.T) {
	b := benchDay{visits: 5, duration: time.Minute, seed: 3}
	got, err := b.config(&upForTests)
	want := day.Config{
		Origin: "http://127.0.0.1:7000", PushToken: "push-P", ScannerKey: "scan-S",
		Edges:      []load.Edge{{Name: "edge-1", URL: "http://127.0.0.1:7100"}, {Name: "edge-2", URL: "http://127.0.0.1:7200"}},
		Population: day.Population{Issuers: []string{"demo-a", "demo-b"}, Subjects: 58},
		Seed:       3, Schedule: load.Constant{N: 5, For: time.Minute},
	}
	for _, p := range [][2]string{{"origin", "http://127.0.0.1:7001"}, {"edge-1", "http://127.0.0.1:7101"}, {"edge-2", "http://127.0.0.1:7201"}} {
		want.Processes = append(want.Processes, day.Process{Name: p[0], Admin: p[1]})
	}
	if got.Metrics == nil {
		t.Error("nobody looks at the processes")
	}
	got.Metrics = nil // functions can't be compared
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %+v", err, got)
	}
}

// What the verb exits with is the report's, unless nobody could read it.
func TestBenchDayTells(t *testing.T) {
	result := func(wrong uint64, reasons ...string) *day.Result {
		r := load.NewResult(load.Constant{N: 1, For: time.Second})
		r.Wrong, r.Accounts.Sent = wrong, 1
		r.Latency.Record(time.Millisecond)
		return &day.Result{Result: r, Reasons: reasons, Visible: load.Summary{P99: 1, Count: 1}}
	}
	gone, late := filepath.Join(t.TempDir(), "gone"), result(0)
	late.Visible.P99 = report.DefaultTargets.PushToVisible
	for name, c := range map[string]struct {
		result *day.Result
		out    string
		want   int
	}{
		"right": {result(0), "", 0}, "wrong": {result(1), "", 1}, "invalid": {result(0, "late"), "", 3},
		"wrong and invalid": {result(1, "late"), "", 1}, "late to show": {late, "", 1}, "unwritten": {result(0), gone, 3}, "wrong, unwritten": {result(1), gone, 1},
	} {
		b := benchDay{out: c.out}
		code, err := 0, b.tell(io.Discard, &report.Run{Targets: report.DefaultTargets}, c.result)
		if exit := (*exitError)(nil); errors.As(err, &exit) {
			code = exit.code
		}
		if code != c.want {
			t.Errorf("%s: exit %d (%v), want %d", name, code, err, c.want)
		}
	}
}

func TestBenchValidate(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("curve:\n  - {at: \"00:00\", rate: -1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{"launch-day": "71 % own, ", bad: "line 2: a rate is -1", "noon": "no scenario and no file noon"} {
		root, out := newRoot(), new(strings.Builder)
		root.SetOut(out)
		root.SetErr(io.Discard)
		root.SetArgs([]string{"bench", "validate", arg})
		code := 0
		if err := root.ExecuteContext(t.Context()); err != nil {
			out.WriteString(err.Error())
			code = exitFailure
			if exit := (*exitError)(nil); errors.As(err, &exit) {
				code = exit.code
			}
		}
		if (code == 0) != (arg == "launch-day") || code != 0 && code != exitUsage || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit %d, %q", arg, code, out)
		}
	}
}

// A scenario's SLOs reach the report, and are its own where the scenario has none.
func TestBenchDayTargets(t *testing.T) {
	for slos, want := range map[string]report.Targets{
		"":                             report.DefaultTargets,
		"slos: {p99_ms: 9, errors: 1}": {Errors: 1, P99: 9, P999: report.DefaultTargets.P999, PushToVisible: report.DefaultTargets.PushToVisible},
	} {
		scenario, err := day.ParseScenario("x", []byte("curve: [{at: \"00:00\", rate: 1}]\nshares: {own: 100}\n"+slos))
		if err != nil {
			t.Fatal(err)
		}
		var b benchDay
		if got := b.asked(day.Config{Schedule: load.Constant{N: 1, For: time.Second}, Scenario: scenario}).Targets; got != want {
			t.Errorf("%q: %+v, want %+v", slos, got, want)
		}
	}
}

// Each mode plays the part of the day that it says, at a day's true rates.
func TestBenchDayModes(t *testing.T) {
	up, keys := upForTests, filepath.Join(t.TempDir(), "code-keys.json")
	key := `[{"id":1,"key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}]`
	if err := os.WriteFile(keys, []byte(`{"version":1,"issuers":{"demo-a":`+key+`,"demo-b":`+key+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	up.CodeKeys = keys
	for _, c := range []struct {
		mode     string
		duration time.Duration
		visits   uint64 // of the part, within 1 %
	}{
		{report.Endurance, 10 * time.Second, 864_000}, {report.Rhythm, 60 * time.Second, 600}, {report.Slice, time.Hour, 137_000},
	} {
		b := benchDay{visits: 864_000, duration: c.duration, seed: 1, scenario: "morning", mode: c.mode, from: 7*time.Hour + 30*time.Minute}
		got, err := b.config(&up)
		if err != nil {
			t.Fatal(err)
		}
		requests, _ := got.Scenario.Requests(c.visits)
		if n := got.Schedule.Visits(); n < requests*98/100 || n > requests*102/100 || got.Schedule.Over() != c.duration {
			t.Errorf("%s: %v, want %d requests in %v", c.mode, got.Schedule, requests, c.duration)
		}
		if (got.First > 0) != (c.mode == report.Slice) || len(got.CodeKeys) != 2 || b.asked(got).Scenario != "morning" {
			t.Errorf("%s begins with request %d, keys of %d issuers", c.mode, got.First, len(got.CodeKeys))
		}
	}
}
