package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

var upForTests = fleet.Up{
	Origin: "http://127.0.0.1:7000", OriginAdmin: "http://127.0.0.1:7001", OriginPID: 70,
	Edges: []fleet.Edge{
		{Name: "edge-1", Scan: "http://127.0.0.1:7100", Admin: "http://127.0.0.1:7101", PID: 71},
		{Name: "edge-2", Scan: "http://127.0.0.1:7200", Admin: "http://127.0.0.1:7201", PID: 72},
	},
	PushToken: "push-P", ScannerKey: "scan-S", AdminToken: "admin-A", Issuers: []string{"demo-a", "demo-b"}, Subjects: 58,
	Sample: []fleet.Sample{
		{Issuer: "demo-a", Subject: "d000000001", Code: "demo-a:d000000001", Status: "green"},
		{Issuer: "demo-b", Subject: "d000000007", Code: "demo-b:d000000007", Status: "yellow"},
	},
}

func TestUpShowsWhatRunsWhereAndLinesToPaste(t *testing.T) {
	var b strings.Builder
	showUp(&b, upForTests, "var")
	lines := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"origin 70 http://127.0.0.1:7000 http://127.0.0.1:7001 " + filepath.Join("var", "origin"),
		"edge-2 72 http://127.0.0.1:7200 http://127.0.0.1:7201 " + filepath.Join("var", "edge-2"),
		"push token push-P",
		"scanner key scan-S",
		"for scripts " + filepath.Join("var", "up.json"),
		"Scan a subject that is green, yellow (of 58):",
		"curl -H 'Authorization: Bearer scan-S' http://127.0.0.1:7100/v1/scan/demo-a:d000000001",
		"curl -H 'Authorization: Bearer scan-S' http://127.0.0.1:7100/v1/scan/demo-b:d000000007",
		`curl -H 'Authorization: Bearer push-P' --data-binary '{"subject":"guest","status":"red"}' http://127.0.0.1:7000/v1/issuers/demo-a/deltas`,
		"curl -H 'Authorization: Bearer scan-S' http://127.0.0.1:7200/v1/scan/demo-a:guest",
		"curl http://127.0.0.1:7101/metrics",
	} {
		if !lines[want] {
			t.Errorf("no line %q in:\n%s", want, b.String())
		}
	}

	empty := upForTests
	empty.Sample, empty.Edges = nil, empty.Edges[:1]
	b.Reset()
	showUp(&b, empty, "var")
	if text := b.String(); strings.Contains(text, "Scan a subject that is") || !strings.Contains(text, "7100/v1/scan/demo-a:guest") {
		t.Errorf("without demo subjects:\n%s", text)
	}
}

// Every second, the columns stand under their heads.
func TestWatchLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	edge := func(scans float64, offset, age float64) fleet.Metrics {
		return fleet.Metrics{
			`scanedge_scans_total{issuer="demo-a",outcome="green"}`: scans, `scanedge_scans_total{issuer="",outcome="no-key"}`: 1,
			`scanedge_offset{issuer="demo-a"}`: offset, `scanedge_age_ms{issuer="demo-a"}`: age,
			`scanedge_offset{issuer="demo-b"}`: 7,
		}
	}
	origin := func(deltas float64) fleet.Metrics {
		return fleet.Metrics{`scanedge_deltas_total{issuer="demo-a"}`: deltas, `scanedge_deltas_total{issuer="demo-b"}`: 5}
	}
	was := reading{at, origin(10), []fleet.Metrics{edge(100, 1, 250), edge(5000, 1, 0)}}
	now := reading{at.Add(2 * time.Second), origin(30), []fleet.Metrics{edge(300, 1234567, 65300), edge(9, 2, 0)}}
	gone := reading{at.Add(3 * time.Second), nil, []fleet.Metrics{nil, {}}}
	back := reading{at.Add(4 * time.Second), origin(0), now.edges}

	var got strings.Builder
	got.WriteString(watchHeader(upForTests))
	fmt.Fprintln(&got, watchLine(upForTests, was, now)) // the second edge was started again: 200 and 10 scans in 2 s
	fmt.Fprintln(&got, watchLine(upForTests, now, gone))
	fmt.Fprintln(&got, watchLine(upForTests, gone, back)) // the second edge scanned 10 since it said nothing of it
	want := `
                            edge-1 offset, age            edge-2 offset, age
    time  scans/s deltas/s  demo-a         demo-b         demo-a         demo-b
03:04:07      105       10  1234567 65.3s  7 -            2 0.0s         7 -
03:04:08        0        0  no answer      no answer      not held       not held
03:04:09       10        0  1234567 65.3s  7 -            2 0.0s         7 -
`
	if got.String() != want[1:] {
		t.Errorf("got\n%swant%s", got.String(), want)
	}
}

type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// After "scanedge up | head" nobody reads on, and the fleet is to be stopped.
func TestWatchEndsWhenNobodyReads(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watch(ctx, deaf{}, fleet.Up{OriginAdmin: "http://127.0.0.1:1"})
	if ctx.Err() != nil {
		t.Error("it went on")
	}
}

func TestUpRefusesWhatMakesNoSense(t *testing.T) {
	for _, c := range []struct{ flag, says string }{
		{"--edges=0", "1 to 64"}, {"--edges=65", "1 to 64"}, {"--edges=many", "invalid"},
		{"--subjects=-1", "0 to 100000000"}, {"--subjects=100000001", "0 to 100000000"},
		{"--listen=7001", "HOST:PORT"}, {"--listen=", "HOST:PORT"}, {"--dir=", "--dir"},
		{"--port=1", "unknown flag"}, {"extra", "unknown command"},
	} {
		root := newRoot()
		root.SetArgs([]string{"up", c.flag})
		err := root.ExecuteContext(t.Context())
		var exit *exitError
		if !errors.As(err, &exit) || exit.code != exitUsage || !strings.Contains(err.Error(), c.says) {
			t.Errorf("up %s: %v", c.flag, err)
		}
	}
}

func TestUpSaysThatItsFolderCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	root := newRoot()
	root.SetOut(io.Discard)
	root.SetArgs([]string{"up", "--dir", filepath.Join(file, "var")})
	err := root.ExecuteContext(t.Context())
	var exit *exitError
	if err == nil || errors.As(err, &exit) || !strings.Contains(err.Error(), "choose one where you may write") {
		t.Errorf("up in a folder under a file: %v", err)
	}
}
