package report

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge/bench/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sample is a run of 10 visits, one of them unsent, one wrong.
func sample(reasons ...string) *Report {
	r := load.NewResult(load.Constant{N: 10, For: 2 * time.Second})
	r.Accounts = load.Accounts{Planned: 10, Sent: 9, Unsent: 1, Outcomes: map[load.Outcome]uint64{"red": 1, "green": 7, "other": 1}}
	r.AddWrong(load.Example{Code: "demo-a:d\x00", Edge: "edge-2", Expected: "200 red of demo-a", Got: `status "green": 200 {}`})
	for k := range 9 {
		r.Latency.Record(time.Duration(k) * time.Millisecond)
	}
	rep := New(r, reasons)
	rep.PushToVisible = load.Summary{P50: 1.5, P99: 3, Count: 20}
	rep.Seed, rep.Version = 7, "v1"
	return rep
}

func TestExitCode(t *testing.T) {
	kept, missed := []SLO{{Pass: true}}, []SLO{{Pass: true}, {Pass: false}}
	for _, c := range []struct {
		wrong uint64
		valid bool
		slos  []SLO
		want  int
	}{
		{0, true, kept, 0}, {1, true, kept, 1}, {0, false, kept, 3}, {1, false, kept, 1},
		{0, true, missed, 1}, {0, false, missed, 3}, {1, false, missed, 1}, {0, true, nil, 0},
	} {
		if got := (&Report{Wrong: c.wrong, Valid: c.valid, SLOs: c.slos}).ExitCode(); got != c.want {
			t.Errorf("%d wrong, valid %v, %v: exit %d, want %d", c.wrong, c.valid, c.slos, got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := sample("1 of 10 visits were not sent", "no canary").Text(&b); err != nil {
		t.Fatal(err)
	}
	want := `INVALID: 1 of 10 visits were not sent; no canary
planned 10 = sent 9 + unsent 1
sent 9 = 7 green + 1 other + 1 red
wrong 1
latency          p50 too few  (from the scheduled time, at 5 requests/s)
push to visible  p50 1.50 ms  p99 too few  (20 turns, until the last edge shows it)
wrong: "demo-a:d\x00" at edge-2: expected 200 red of demo-a, got status "green": 200 {}
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := sample().Text(&b); err != nil || !strings.HasPrefix(b.String(), "VALID\n") {
		t.Errorf("%v, got\n%s", err, b.String())
	}
	if err := sample().Text(broken{}); err == nil {
		t.Error("the text was lost without an error")
	}
}

// What load knows by operation, by kind of connection and by rule is in the report, under the names that scripts were promised.
func TestParts(t *testing.T) {
	timer := load.NewTimer()
	for range 20 {
		timer.Record(2 * time.Millisecond)
	}
	from := load.NewResult(load.Constant{N: 30, For: 2 * time.Second})
	from.Visits, from.Processor = 500, load.Processor{Own: 0.125, Machine: 0.5, Stolen: 0.25}
	from.Ops = []load.OpResult{{
		Name: "upload", Sent: 21, Visits: 500, Wrong: 1, Outcomes: map[load.Outcome]uint64{"green": 20, load.Failed: 1},
		Latency: timer, Service: timer, Lateness: timer,
	}}
	from.Kinds = []load.KindResult{{Name: "kept", Sent: 21, Visits: 500, Dialled: 3, Latency: timer}}
	from.Rules = []load.RuleResult{{Name: "on time", Measured: "99.8 % of seconds"}, {Name: "all sent", Broken: "9 were not", Measured: "9 unsent"}}
	r := New(from, []string{"9 were not"})
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(b)), " ")
	for _, want := range []string{
		`"answered_visits": 500`, `"visits_per_s": 250`, `"rate": 15`, `"processor": { "own": 0.125, "machine": 0.5, "stolen": 0.25 }`,
		`"ops": [ { "name": "upload", "requests": 21, "visits": 500, "wrong": 1, "outcomes": { "failed": 1, "green": 20 }, "latency_ms": { "p50": 2`,
		`"kinds": [ { "name": "kept", "requests": 21, "visits": 500, "dialled": 3, "latency_ms": { "p50": 2`,
		`{ "name": "on time", "kept": true, "measured": "99.8 % of seconds", "why": "" }`,
		`{ "name": "all sent", "kept": false, "measured": "9 unsent", "why": "9 were not" }`,
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
	for _, want := range []string{
		"answered for 500 visits, 250/s\n", "  upload             p50 2.00 ms (2.00–2.00)  p99 too few  (21 requests = 20 green + 1 failed; 500 visits)\n",
		"  over kept          p50 2.00 ms (2.00–2.00)  p99 too few  (21 requests, 500 visits, 3 dialled)\n",
		"processor        generator 12.5 %, machine 50 %, stolen 25 %\n", "rules of validity  1 of 2 kept\n",
	} {
		if !strings.Contains(r.text(), want) {
			t.Errorf("no %q in\n%s", want, r.text())
		}
	}
}

func TestPeakInWords(t *testing.T) {
	for want, r := range map[string]*Report{
		"at 100 requests/s)": {Rate: 100, PeakRate: 119}, "at 100 requests/s, 300 at the peak)": {Rate: 100, PeakRate: 300},
	} {
		if got := r.text(); !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestLine(t *testing.T) {
	got := Line(3*time.Second+4, load.Progress{Planned: 9001, Sent: 9000, Answered: 8998, Wrong: 2, P99: 1.234})
	if want := "   3s  planned 9001  sent 9000  answered 8998  wrong 2  p99 1.23 ms"; got != want {
		t.Errorf("got %q", got)
	}
}

// The file holds what scripts were promised, by name and type, also when there is nothing to say.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []*Report{New(load.NewResult(load.Constant{N: 10, For: time.Second}), nil), sample("late")} {
		if err := r.WriteFiles(dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "report.json"))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		for name, kind := range map[string]any{
			"valid": true, "reasons": []any{}, "planned": 0., "sent": 0., "unsent": 0., "outcomes": map[string]any{}, "wrong": 0.,
			"examples": []any{}, "seed": 0., "visits": 0., "duration_s": 0., "rate": 0., "latency_ms": map[string]any{},
			"lateness_ms": map[string]any{}, "service_ms": map[string]any{}, "push_to_visible_ms": map[string]any{},
			"started": "", "machine": map[string]any{}, "version": "",
			"slos": []any{}, "killed": true, "mode": "", "proves": "", "does_not_prove": "", "scenario": "", "ops": []any{},
			"seconds": "", "environment": map[string]any{}, "kinds": []any{}, "spikes": []any{}, "peak_rate": 0., "rules": []any{}, "answered_visits": 0., "visits_per_s": 0.,
			"processor": map[string]any{},
		} {
			if value, there := got[name]; !there || reflect.TypeOf(value) != reflect.TypeOf(kind) {
				t.Errorf("%s is %v", name, value)
			}
		}
		if got["valid"] != r.Valid || got["unsent"] != float64(r.Unsent) || got["wrong"] != float64(r.Wrong) {
			t.Errorf("the file says %s", b)
		}
		if started, err := time.Parse(time.RFC3339, got["started"].(string)); err != nil || time.Since(started) > time.Hour {
			t.Errorf("started %v: %v", got["started"], err)
		}
	}
	forms, err := os.ReadDir(dir)
	if err != nil || len(forms) != 4 {
		t.Fatalf("the folder holds %v (%v)", forms, err)
	}
	for i, name := range []string{JUnitFile, PageFile, File, TextFile} {
		if info, err := forms[i].Info(); err != nil || info.Name() != name || info.Mode().Perm() != 0o644 {
			t.Errorf("%v, not %s (%v)", info, name, err)
		}
	}
}

// A report that can't be written says where, and leaves the one that was there.
func TestFileThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if err := sample().WriteFiles(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, File), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sample().WriteFiles(dir); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 4 {
		t.Errorf("the folder holds %v (%v)", left, err)
	}
}
