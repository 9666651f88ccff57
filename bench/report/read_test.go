package report

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// begun is the folder of a run of 10 s that has just begun.
func begun(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run := &Run{Mode: Slice, Seed: 7, Visits: 20_000, Duration: 10, Started: time.Unix(1e9, 0).UTC(), Targets: DefaultTargets, Version: "v1"}
	if err := Begin(dir, run); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What a killed run leaves is a report up to its last whole second, wherever its log was cut.
func TestReadOfAKilledRun(t *testing.T) {
	seconds := rush(4, false)
	seconds[2].Sent += 5 // whose answers never came
	seconds[3].Wrong = 1
	for _, rest := range []string{"", "{", `{"second":4,"planned":2000}`} {
		dir := begun(t)
		logOf(t, dir, seconds, rest)
		r, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.Valid || !r.Killed || r.ExitCode() != ExitWrong || r.Reasons[0] != "the run was killed: its log ends after 4 of 10 seconds" {
			t.Errorf("valid %v, killed %v, exit %d, %q", r.Valid, r.Killed, r.ExitCode(), r.Reasons)
		}
		want := map[load.Outcome]uint64{"green": 8000, Unknown: 5}
		if r.Sent != 8005 || r.Unsent != 11_995 || !reflect.DeepEqual(r.Outcomes, want) || r.Wrong != 1 || r.Answered != 16_000 || r.VisitRate != 4000 || r.Seed != 7 || r.Mode != Slice {
			t.Errorf("%+v", r)
		}
		// Half of the answers are under 0.5 ms by their buckets, 99.9 % under 16 ms; no second's p99 is over 3 ms; the longest took 45 ms.
		if want := (load.Summary{P50: 0.5, P99: 3, P999: 16, Max: 45, Count: 8000}); r.Latency != want {
			t.Errorf("latency %+v, want %+v", r.Latency, want)
		}
		if want := (load.Summary{P50: 0.1, P99: seconds[2].Lag.P99, Max: 3, Count: 8000}); r.Lateness != want {
			t.Errorf("lateness %+v, want %+v", r.Lateness, want)
		}
		if err := r.WriteFiles(dir); err != nil {
			t.Fatal(err)
		}
		again, err := Read(dir)
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("read again: %v, %+v", err, again)
		}
	}
}

// What is slower than the last bound has no bound but the longest.
func TestNoBoundForTheSlowest(t *testing.T) {
	var heat [load.HeatBuckets]uint64
	heat[0], heat[load.HeatBuckets-1] = 90, 10
	if got, want := atMost(heat, load.Summary{P50: 9, P99: 50_000, P999: 60_000}), (load.Summary{P50: 0.25, P99: 50_000, P999: 60_000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestReadOfARunThatLoggedNothing(t *testing.T) {
	r, err := Read(begun(t))
	if err != nil || r.ExitCode() != ExitInvalid || r.Unsent != 20_000 || r.Latency.Count != 0 {
		t.Errorf("%v, %+v", err, r)
	}
}

// A run that came to its end is read as it was written, also from a report that was kept without its folder.
func TestReadOfAWholeRun(t *testing.T) {
	dir, want := begun(t), sample("late")
	want.Conclude(&Run{Mode: Rhythm, Targets: DefaultTargets, Environment: Here()})
	if err := want.WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept.json")
	if err := os.Link(filepath.Join(dir, File), kept); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, kept} {
		if got, err := Read(at); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %+v\nwant %+v", at, err, got, want)
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"no run":     {"", "", "give the --out folder of a bench day"},
		"run.json":   {RunFile, "{", "run.json is not what a bench day writes"},
		"report":     {File, "[]", "report.json is not what a bench day writes"},
		"bad second": {SecondsFile, "{}\n{]\n", "seconds.ndjson: line 2 is no second of a run"},
		"odd second": {SecondsFile, `{"second":-1}` + "\n", "line 1 is no second"},
	} {
		dir := t.TempDir()
		if c.file != "" {
			dir = begun(t)
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
