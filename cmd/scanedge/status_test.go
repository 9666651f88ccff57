package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/scanedge/scanedge"
)

// fleetOf is a fleet with one edge that is well, one that is behind and stale, one that is silent, and one that never joined.
func fleetOf(state string, why ...string) scanedge.FleetStatus {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	snapshot, reached, reported := at.Add(-5*time.Minute), uint64(1736), int64(400)
	silent := int64(60_000)
	return scanedge.FleetStatus{
		State: state, Why: why, At: at, Version: "1.2.3",
		Issuers: []scanedge.IssuerStatus{{Issuer: "gz", Offset: 1742, Count: 1_000_000, Digest: "0123456789abcdef", LogBytes: 3 << 20,
			SnapshotAt: &snapshot, SnapshotBytes: 14 << 20, Held: 2, ReachedAll: &reached}},
		Edges: []scanedge.EdgeStatus{
			{Edge: "gate-1", State: scanedge.EdgeLive, Version: "1.2.3", ReportedAgeMS: &reported, ScansPerSecond: 1234.4,
				Issuers: []scanedge.EdgeIssuerStatus{{Issuer: "gz", Ready: true, Offset: 1742, AgeMS: 300, Vouching: true, Agrees: true, ScrubAgeMS: 61_000}}},
			{Edge: "gate-2", State: scanedge.EdgeLive, Version: "1.2.2\x1b[31m", ReportedAgeMS: &reported,
				Issuers: []scanedge.EdgeIssuerStatus{{Issuer: "gz", Ready: true, Offset: 1736, AgeMS: 12_000, Rebuilds: 1}}},
			{Edge: "gate-3", State: scanedge.EdgeSilent, ReportedAgeMS: &silent,
				Issuers: []scanedge.EdgeIssuerStatus{{Issuer: "gz", Ready: true, Offset: 1742, AgeMS: 60_300, Vouching: true, Agrees: true}}},
			{Edge: "new", State: scanedge.EdgeNever},
		},
	}
}

// reporting is an origin that answers with a status.
func reporting(t *testing.T, status any) []string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.URL.Path != "GET /v1/status" || r.Header.Get("Authorization") != "Bearer admin-x" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(status)
	}))
	t.Cleanup(server.Close)
	return []string{"status", "--origin", server.URL, "--token", "admin-x"}
}

func TestStatusExitsAsItSays(t *testing.T) {
	healthy, degraded := fleetOf(scanedge.Healthy), fleetOf(scanedge.Degraded, "edge gate-2 is silent")
	out, err := verb(t.Context(), nil, reporting(t, healthy)...)
	wantExit(t, err, 0)
	if !strings.HasPrefix(out, "healthy: 1 issuer, 2 of 4 edges live, 1,234 scans/s; origin 1.2.3\n\n") {
		t.Error(out)
	}
	out, err = verb(t.Context(), nil, reporting(t, degraded)...)
	wantExit(t, err, exitFailure)
	if !strings.HasPrefix(out, "degraded: ") || !strings.Contains(out, "\n  edge gate-2 is silent\n") || err.Error() != "" {
		t.Error(out, err)
	}
	out, err = verb(t.Context(), nil, append(reporting(t, degraded), "--json")...)
	wantExit(t, err, exitFailure)
	var got scanedge.FleetStatus
	if json.Unmarshal([]byte(out), &got) != nil || got.Why[0] != degraded.Why[0] || strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
	_, err = verb(t.Context(), nil, reporting(t, map[string]string{"state": "fine"})...)
	wantExit(t, err, exitFailure, `state is "fine"`)
}

func TestStatusOfAnOriginThatIsAway(t *testing.T) {
	out, err := verb(t.Context(), nil, "status", "--origin", "http://127.0.0.1:1", "--token", "x", "--json")
	wantExit(t, err, exitFailure, "ask for the fleet's status at http://127.0.0.1:1")
	if out != "" {
		t.Error(out)
	}
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hanging.Close()
	_, err = verb(t.Context(), nil, "status", "--origin", hanging.URL, "--token", "x", "--timeout", "50ms")
	wantExit(t, err, exitFailure, "no answer within 50ms")
	_, err = verb(t.Context(), nil, "status", "--origin", hanging.URL, "--token", "x", "--timeout", "0s")
	wantExit(t, err, exitUsage, "--timeout")
	_, err = verb(t.Context(), nil, "status", "--origin", hanging.URL, "--token", "x", "--watch", "--json")
	wantExit(t, err, exitUsage, "--watch")
}

// All of it stands where there is room; a narrow terminal has no line that is too wide, and keeps what tells most.
func TestStatusScreen(t *testing.T) {
	status := fleetOf(scanedge.Degraded, "edge gate-2 does not vouch for gz")
	text := func(width int) string {
		var b strings.Builder
		for _, l := range statusLines(status, width) {
			if width > 0 && runewidth.StringWidth(l.text) > width {
				t.Errorf("%d columns: %q", width, l.text)
			}
			b.WriteString(strings.Join(strings.Fields(l.text), " ") + "\n")
		}
		return b.String()
	}
	for _, want := range []string{
		"gz 1742 1736, 6 behind 1,000,000 3.0 MiB 14 MiB, 5m old 2 0123456789abcdef\n",
		"gate-1 live 1,234 gz 1742 0.3s agrees 61s ago 0 0.4s ago 1.2.3\n",
		`gate-2 live 0 gz 1736, 6 behind 12s stale differs 0.0s ago 1 0.4s ago "1.2.2\x1b[31m"` + "\n",
		"gate-3 silent - gz 1742 60s stale agreed 0.0s ago 0 60s ago -\n",
		"new never - - - - - - - - -\n",
	} {
		if got := text(0); !strings.Contains(got, want) {
			t.Errorf("%s\nhas no %s", got, want)
		}
	}
	if got := text(80); !strings.Contains(got, "gate-2 live 0 gz 1736, 6 behind 12s stale differs") {
		t.Error(got)
	}
	if strings.Contains((screen{}).paint(line{"x", bad}), "\x1b") {
		t.Error("colour without a terminal")
	}
}

// A watch without a terminal: a line a second, what goes wrong and mends, an origin that is away, and no error at its end.
func TestStatusWatchInLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		n := 0
		ask := func(context.Context) (scanedge.FleetStatus, error) {
			switch n++; n {
			case 1, 5:
				return fleetOf(scanedge.Healthy), nil
			case 2:
				return fleetOf(scanedge.Degraded, "edge gate-2 is silent: for 4s"), nil
			case 3:
				return scanedge.FleetStatus{}, errors.New("connection refused")
			case 4:
				return fleetOf(scanedge.Degraded, "edge gate-2 is silent: for 6s"), nil
			}
			cancel()
			return scanedge.FleetStatus{}, context.Canceled
		}
		began := time.Now()
		if err := watchStatus(ctx, screen{out: &out}, ask); err != nil || time.Since(began) != 5*time.Second {
			t.Error(err, time.Since(began))
		}
		var said []string
		for l := range strings.Lines(out.String()) {
			_, text, _ := strings.Cut(l, "  ")
			said = append(said, strings.TrimSpace(strings.SplitAfter(text, ":")[0]+strings.TrimPrefix(text, strings.SplitAfter(text, ":")[0])[:8]))
		}
		want := "healthy: 1 issue|wrong: edge ga|degraded: 1 issue|no answer, asking on: connect|degraded: 1 issue|no longer: edge ga|healthy: 1 issue"
		if got := strings.Join(said, "|"); got != want {
			t.Errorf("%s\nnot %s", got, want)
		}
	})
}

// A refusal does not heal by asking on, and a watch whose reader has gone has nothing to do.
func TestStatusWatchEnds(t *testing.T) {
	refused := func(context.Context) (scanedge.FleetStatus, error) {
		return scanedge.FleetStatus{}, scanedge.NewProblem(scanedge.NoToken, "")
	}
	if err := watchStatus(t.Context(), screen{out: new(bytes.Buffer)}, refused); err == nil {
		t.Error("it went on")
	}
	well := func(context.Context) (scanedge.FleetStatus, error) { return fleetOf(scanedge.Healthy), nil }
	if err := watchStatus(t.Context(), screen{out: shut{}}, well); err == nil {
		t.Error("it wrote to nobody")
	}
}

// shut is a reader that has gone.
type shut struct{}

func (shut) Write([]byte) (int, error) { return 0, errors.New("shut") }

// On a terminal each look replaces the last, within its lines and columns, and the screen is given back.
func TestStatusWatchRedraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		n := 0
		ask := func(context.Context) (scanedge.FleetStatus, error) {
			if n++; n > 3 {
				cancel()
			} else if n == 2 {
				return scanedge.FleetStatus{}, errors.New("connection refused")
			}
			return fleetOf(scanedge.Healthy), nil
		}
		s := screen{out: &out, size: func() (int, int) { return 60, 8 }}
		if err := watchStatus(ctx, s, ask); err != nil {
			t.Error(err)
		}
		text, ok := strings.CutPrefix(out.String(), enterScreen)
		text, left := strings.CutSuffix(text, leaveScreen)
		looks := strings.Split(text, homeCursor)[1:]
		if !ok || !left || len(looks) != 3 || !strings.Contains(looks[1], "no answer, asking on: connection refused") ||
			!strings.Contains(looks[1], "healthy: ") || strings.Contains(looks[2], "no answer") {
			t.Errorf("%q", out.String())
		}
		for _, l := range looks {
			for row := range strings.SplitSeq(strings.TrimSuffix(l, clearBelow), "\r\n") {
				if runewidth.StringWidth(strings.TrimSuffix(row, clearRight)) > 60 {
					t.Errorf("too wide: %q", row)
				}
			}
			if strings.Count(l, "\r\n") > 7 {
				t.Errorf("too high: %q", l)
			}
		}
	})
}
