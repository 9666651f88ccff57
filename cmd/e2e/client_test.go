package e2e

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// A gate that has two edges goes on when the near one hangs, and when that one is back with an older table nobody is shown an older status.
func TestClientOfTwoEdges(t *testing.T) {
	f, _ := startFleet(t, 200)
	up := f.Up()
	gate := scanedge.NewEdges(scanedge.NewEdge(up.Edges[0].Scan, up.ScannerKey), scanedge.NewEdge(up.Edges[1].Scan, up.ScannerKey))
	gate.Retry.For = 30 * time.Second
	origin := scanedge.NewOrigin(up.Origin, up.PushToken)
	push := func(s scanedge.Status) uint64 {
		t.Helper()
		receipt, err := origin.Push(t.Context(), "demo-a", []scanedge.Delta{{Subject: "of-two-edges", Status: s}})
		if err != nil {
			t.Fatal(err)
		}
		return receipt.Offset
	}
	// until scans until the gate shows an offset, or a later one.
	until := func(offset uint64) (v scanedge.Verdict) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			v, err := gate.Scan(t.Context(), "demo-a:of-two-edges")
			if p := (*scanedge.Problem)(nil); err != nil && !(errors.As(err, &p) && p.Type == scanedge.UnknownSubject) {
				t.Fatal(err)
			}
			if err == nil && v.Offset >= offset {
				return v
			}
		}
		t.Fatalf("offset %d is not shown", offset)
		return v
	}
	until(push(scanedge.Green))

	near := up.Edges[0].PID
	if err := syscall.Kill(near, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(near, syscall.SIGCONT) })
	revoked := push(scanedge.Red)
	if v := until(revoked); v.Status != scanedge.Red {
		t.Errorf("%+v", v)
	}
	if err := syscall.Kill(near, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	alone := scanedge.NewEdges(scanedge.NewEdge(up.Edges[0].Scan, up.ScannerKey))
	caughtUp := false
	for deadline := time.Now().Add(30 * time.Second); !caughtUp && time.Now().Before(deadline); {
		if v, err := gate.Scan(t.Context(), "demo-a:of-two-edges"); err != nil || v.Status != scanedge.Red || v.Offset < revoked {
			t.Fatalf("%+v, %v after offset %d was seen", v, err, revoked)
		}
		v, err := alone.Scan(t.Context(), "demo-a:of-two-edges") // it has seen nothing
		caughtUp = err == nil && v.Offset >= revoked
	}
	if !caughtUp {
		t.Error("the near edge did not come back")
	}
	answers, err := gate.ScanMany(t.Context(), []string{"demo-a:of-two-edges", "demo-b:d000000001", "nonsense"})
	if err != nil || answers[0].Status != scanedge.Red || answers[1].Status != scanedge.Green || answers[2].Error != scanedge.MalformedCode {
		t.Errorf("%+v, %v", answers, err)
	}
}
