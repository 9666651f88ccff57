package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/bench/report"
)

// benchVerb runs a verb of bench and returns what it printed, its error's words included, and its exit code.
func benchVerb(t *testing.T, args ...string) (string, int) {
	t.Helper()
	root, out := newRoot(), new(strings.Builder)
	root.SetOut(out)
	root.SetErr(io.Discard)
	root.SetArgs(append([]string{"bench"}, args...))
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	code := exitFailure
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		if code = exit.code; exit.err == nil {
			return out.String(), code
		}
	}
	return out.String() + err.Error(), code
}

// killedRun is the folder of a run of which only two seconds were logged, the last one cut.
func killedRun(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run := &report.Run{Mode: report.Endurance, Visits: 20, Duration: 2, Targets: report.DefaultTargets, Started: time.Unix(1e9, 0)}
	if err := report.Begin(dir, run); err != nil {
		t.Fatal(err)
	}
	const log = `{"second":0,"planned":10,"sent":10,"answered":10,"outcomes":{"green":10},"latency_ms":{"max":3},"heat":[5,5]}` + "\n" + `{"second":1,"pl`
	if err := os.WriteFile(filepath.Join(dir, report.SecondsFile), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A killed run has a report up to its last whole second, in every form, the second time too.
func TestBenchReportOfAKilledRun(t *testing.T) {
	dir := killedRun(t)
	for range 2 {
		got, code := benchVerb(t, "report", dir)
		if code != report.ExitInvalid || !strings.HasPrefix(got, "INVALID: the run was killed: its log ends after 1 of 2 seconds\n") ||
			!strings.Contains(got, "sent 10 = 10 green") {
			t.Errorf("exit %d, %s", code, got)
		}
		for _, name := range []string{report.File, report.TextFile, report.JUnitFile, report.PageFile} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A run that ended exits as it did, and two are set side by side.
func TestBenchReportAndDiffOfRunsThatEnded(t *testing.T) {
	up := upForTests
	up.Origin = "http://127.0.0.1:1"
	out := filepath.Join(t.TempDir(), "out")
	told, want := runBench(t, "--up", writeUp(t, up), "--out", out, "--visits", "70", "--duration", "1s")
	got, code := benchVerb(t, "report", out)
	if code != want || want != report.ExitInvalid || got == "" || !strings.Contains(told, got) {
		t.Errorf("exit %d, want %d, %s\nof %s", code, want, got, told)
	}
	if got, code = benchVerb(t, "diff", out, killedRun(t)); code != 0 || !strings.Contains(got, "INVALID") || !strings.Contains(got, "0.29") {
		t.Errorf("exit %d, %s", code, got)
	}
}

func TestBenchReportUsage(t *testing.T) {
	none, run := t.TempDir(), killedRun(t)
	for _, args := range [][]string{{"report", none}, {"diff", none, run}, {"diff", run, none}} {
		if got, code := benchVerb(t, args...); code != exitUsage || !strings.Contains(got, none) || !strings.Contains(got, "--out") {
			t.Errorf("%v: exit %d, %s", args, code, got)
		}
	}
}
