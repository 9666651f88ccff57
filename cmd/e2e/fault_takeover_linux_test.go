package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/durable"
)

var restarts = flag.Int("restarts", 5, "how often an edge is taken over by a new process under load")

// successor starts another process of the node's edge, which is to take over, and returns the one before. n is the new one from here on.
func (n *node) successor() (old *exec.Cmd, oldEnded <-chan struct{}) {
	n.t.Helper()
	old, oldEnded = n.cmd, n.ended
	argv := append(slices.Clone(n.argv), "--dir", n.dir, "--take-over")
	for _, s := range n.sockets {
		argv = append(argv, s.flag, s.addr)
	}
	n.launch(argv)
	return old, oldEnded
}

// awaitServing waits until the node's present process says that it listens.
func (n *node) awaitServing() {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%s served by process %d", n.name, n.cmd.Process.Pid), func() bool {
		var at addresses
		if n.gone() {
			n.t.Fatalf("it ended: %v\n%s", n.cmd.ProcessState, tail(n.log()))
		}
		return readJSON(filepath.Join(n.dir, "listening.json"), &at) && at.PID == n.cmd.Process.Pid
	})
}

// endedWell waits for a process that was taken over from to end.
func endedWell(t *testing.T, cmd *exec.Cmd, ended <-chan struct{}) {
	t.Helper()
	eventually(t, fmt.Sprintf("the end of process %d", cmd.Process.Pid), func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the process that was taken over from ended with %v", cmd.ProcessState)
	}
}

// takenOver is an origin, an edge that is ready, a ticker and a load.
type takenOver struct {
	origin, edge *node
	ticker       *ticker
	load         *gates
}

func startTakenOver(t *testing.T) *takenOver {
	t.Helper()
	w := startTakenOverBare(t)
	w.load = strictLoad(t, w.edge, w.origin, "gz:"+tickerSubject)
	return w
}

// startFirst starts an edge that goes before other processes of the machine, and waits until it is ready: on a busy one it would have too few
// of the processor, and rightly refuse scans for that.
func startFirst(t *testing.T, origin *node, more ...string) *node {
	t.Helper()
	n := newEdge(t, bin, origin, more...)
	n.argv = append([]string{"nice", "-n", "-15"}, n.argv...)
	n.begin()
	n.awaitReady()
	return n
}

// startTakenOverBare is startTakenOver without the load.
func startTakenOverBare(t *testing.T) *takenOver {
	t.Helper()
	o := startOrigin(t, bin, "--issuers", "gz")
	w := &takenOver{origin: o}
	w.ticker, _ = startTicker(t, o, "gz", 20*time.Millisecond)
	w.edge = startFirst(t, o, "--drain", "20s")
	return w
}

// A new process takes an edge over, again and again, while the log moves and the least forgiving clients scan: none of them loses a scan, be it
// on a kept or on a new connection, over TLS or not. What was acknowledged is seen by whoever scans, and to the origin there is one edge, which is
// well all along.
func TestFaultTakeOver(t *testing.T) {
	w := startTakenOver(t)
	unwatched := w.watchStatus(t)
	for i := range *restarts {
		old, ended := w.edge.successor()
		w.edge.awaitServing()
		endedWell(t, old, ended)
		if !w.edge.ready() {
			t.Error("the new process is not ready")
		}
		w.reached(t)
		if t.Failed() {
			t.Fatalf("after restart %d", i+1)
		}
	}
	unwatched()
	w.load.end()
	w.load.mustHaveLostNothing(t)
}

// reached pushes, waits until the origin says that the edge shows it, and scans.
func (w *takenOver) reached(t *testing.T) {
	t.Helper()
	r, err := w.origin.pushSurely(t.Context(), "gz", fmt.Sprint("reached-", time.Now().UnixNano()), rows("reached", 0, 1, 7))
	if err != nil {
		t.Fatal(err)
	}
	var a scanedge.Reached
	err = scanedge.NewOperator(w.origin.at.API, w.origin.adminToken).Call(t.Context(), "wait", http.MethodGet, fmt.Sprintf("/v1/issuers/gz/offsets/%d?wait=20s", r.Offset), nil, &a)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.edge.at.Scan+"/v1/scan/gz:reached-0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.origin.scannerKey)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req) // one that is kept would be waited for
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var v scanedge.Verdict
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil || v.Offset < r.Offset {
		t.Errorf("the edge is said to show %d: %s %+v, %v", r.Offset, res.Status, v, err)
	}
}

// watchStatus looks at the origin's status all along, until what it returns is called.
func (w *takenOver) watchStatus(t *testing.T) (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	op := scanedge.NewOperator(w.origin.at.API, w.origin.adminToken)
	go func() {
		defer close(ended)
		for !waits(stop, 20*time.Millisecond) {
			var s scanedge.FleetStatus
			if err := op.Call(context.WithoutCancel(t.Context()), "status", http.MethodGet, "/v1/status", nil, &s); err != nil {
				t.Errorf("status: %v", err)
			} else if len(s.Edges) != 1 || s.State != scanedge.Healthy {
				t.Errorf("to the origin the fleet is %s: %v, %+v", s.State, s.Why, s.Edges)
				return
			}
		}
	}()
	end = sync.OnceFunc(func() { close(stop); <-ended })
	t.Cleanup(end)
	return end
}

// A process starts its own successor when it gets SIGUSR2, and one that is told to stop during the take-over does.
func TestFaultTakeOverBySignal(t *testing.T) {
	w := startTakenOver(t)
	old, ended := w.edge.cmd, w.edge.ended
	w.edge.signal(syscall.SIGUSR2)
	var at addresses
	eventually(t, "another process", func() bool {
		return readJSON(filepath.Join(w.edge.dir, "listening.json"), &at) && at.PID != old.Process.Pid
	})
	t.Cleanup(func() { _ = syscall.Kill(at.PID, syscall.SIGKILL) })
	endedWell(t, old, ended)
	w.reached(t)
	w.load.end()
	w.load.mustHaveLostNothing(t)
	if err := syscall.Kill(at.PID, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	eventually(t, "gone", func() bool { _, err := os.Stat(filepath.Join(w.edge.dir, "listening.json")); return err != nil })
}

// A process that was to take over dies before it could: nobody notices. The log is held up, so that it can't get ready.
func TestFaultTakeOverDiesBefore(t *testing.T) {
	o := startOrigin(t, bin, "--issuers", "gz")
	d := newDoor(t, o)
	w := &takenOver{origin: o}
	w.edge = startFirst(t, o, "--origin", d.url, "--drain", "20s")
	_, stop := startTicker(t, o, "gz", 20*time.Millisecond)
	awaitOffset(t, []*node{w.edge}, "gz", 1)
	w.load = someLoad(t, w.edge, o, "gz:"+tickerSubject, true)
	first, firstEnded := w.edge.cmd, w.edge.ended
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		n := len(said(w.edge, "another process takes over"))
		d.log.set(stalled) // for less than the lease
		w.edge.successor()
		eventually(t, "asked to hand over", func() bool { return len(said(w.edge, "another process takes over")) > n })
		time.Sleep(200 * time.Millisecond)
		w.edge.signal(sig)
		<-w.edge.ended
		d.log.set(whole)
		w.edge.cmd, w.edge.ended = first, firstEnded
		eventually(t, "gone on", func() bool { return len(said(w.edge, "did not; going on")) > n })
		w.reached(t)
	}
	// It has taken the folder back: the next one takes over as if nothing had been.
	old, ended := w.edge.successor()
	w.edge.awaitServing()
	endedWell(t, old, ended)
	w.reached(t)
	stop()
	w.load.end()
	w.load.mustHaveLostNothing(t)
}

// said returns the lines of a node's log that hold some words.
func said(n *node, words string) (lines []string) {
	for line := range strings.Lines(string(n.log())) {
		if strings.Contains(line, words) {
			lines = append(lines, line)
		}
	}
	return lines
}

// The process that serves dies in the middle of handing over: the other one serves, at the same addresses.
func TestFaultTakeOverLosesThePredecessor(t *testing.T) {
	o := startOrigin(t, bin, "--issuers", "gz")
	d := newDoor(t, o)
	w := &takenOver{origin: o}
	_, stop := startTicker(t, o, "gz", 20*time.Millisecond)
	defer stop()
	w.edge = startEdges(t, 1, bin, o, "--origin", d.url)[0]
	d.log.set(stalled)
	old, ended := w.edge.successor()
	eventually(t, "asked to hand over", func() bool { return len(said(w.edge, "another process takes over")) > 0 })
	time.Sleep(200 * time.Millisecond)
	_ = old.Process.Kill()
	<-ended
	w.edge.awaitServing()
	d.log.set(whole)
	w.edge.awaitReady()
	w.reached(t)
}

// The process that has taken over dies while the one before finishes what it had: that one serves again.
func TestFaultTakeOverDiesAfter(t *testing.T) {
	w := startTakenOver(t)
	idle := strict{addr: strings.TrimPrefix(w.edge.at.Scan, "http://"), key: w.origin.scannerKey}
	idle.build("gz:" + tickerSubject)
	c, err := idle.dial() // keeps the one before waiting
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first, firstEnded := w.edge.cmd, w.edge.ended
	w.edge.successor()
	w.edge.awaitServing()
	w.load.end()
	w.load.mustHaveLostNothing(t)
	w.edge.kill()
	w.edge.cmd, w.edge.ended = first, firstEnded
	w.edge.awaitServing()
	w.edge.awaitReady()
	w.reached(t)
	// And it can be taken over from again.
	load := strictLoad(t, w.edge, w.origin, "gz:"+tickerSubject)
	old, ended := w.edge.successor()
	w.edge.awaitServing()
	w.reached(t)
	_ = c.Close()
	endedWell(t, old, ended)
	load.end()
	load.mustHaveLostNothing(t)
}

// A fleet knows who took over one of its edges: up.json names it, it is started again when it dies, and ends with the fleet.
func TestFaultTakeOverInAFleet(t *testing.T) {
	f, dir := startFleet(t, 200)
	pid := f.Up().Edges[0].PID
	for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGUSR2, syscall.SIGKILL, syscall.SIGUSR2} {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another process", func() bool { return f.Up().Edges[0].PID != pid })
		pid = f.Up().Edges[0].PID
		eventually(t, "ready", func() bool {
			res, err := local.Get(f.Up().Edges[0].Admin + "/readyz")
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
		scanAll(t, f.Up(), []string{"demo-a:d000000013"}, func(int) string { return "red" })
	}
	f.Stop()
	lock, err := durable.Lock(filepath.Join(dir, "edge-1", "lock"))
	if err != nil {
		t.Fatalf("the edge is still there: %v", err)
	}
	lock.Close()
}

// The origin says that an edge shows an offset when both of its processes do, and that it is one edge all along. The old one's log is held up
// here, and it is kept from ending by a connection.
func TestFaultTakeOverShowsWhatBothShow(t *testing.T) {
	o := startOrigin(t, bin, "--issuers", "gz")
	d := newDoor(t, o)
	w := &takenOver{origin: o}
	w.edge = startEdges(t, 1, bin, o, "--origin", d.url, "--drain", "1m")[0]
	w.reached(t)
	gate := strict{addr: strings.TrimPrefix(w.edge.at.Scan, "http://"), key: o.scannerKey}
	gate.build("gz:reached-0")
	c, err := gate.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w.edge.argv = append(w.edge.argv, "--origin", o.at.TLS)
	old, ended := w.edge.successor()
	w.edge.awaitServing()
	eventually(t, "asked to go", func() bool { return len(said(w.edge, "another process serves now")) > 0 })
	d.log.set(stalled)
	r, err := o.pushSurely(t.Context(), "gz", "held-up", rows("reached", 0, 1, 8))
	if err != nil {
		t.Fatal(err)
	}
	op := scanedge.NewOperator(o.at.API, o.adminToken)
	reached := func(wait string) error {
		return op.Call(t.Context(), "wait", http.MethodGet, fmt.Sprintf("/v1/issuers/gz/offsets/%d?wait=%s", r.Offset, wait), nil, new(scanedge.Reached))
	}
	awaitOffset(t, []*node{w.edge}, "gz", r.Offset) // of the new one's admin listener
	var p *scanedge.Problem
	if err := reached("1s"); !errors.As(err, &p) || p.Type != scanedge.NotReached || !slices.Equal(p.Missing, []string{w.edge.name}) {
		t.Errorf("while the old process does not show it: %v", err)
	}
	var s scanedge.FleetStatus
	if err := op.Call(t.Context(), "status", http.MethodGet, "/v1/status", nil, &s); err != nil || len(s.Edges) != 1 || s.Edges[0].Issuers[0].Offset >= r.Offset {
		t.Errorf("status: %+v, %v", s.Edges, err)
	}
	if last, err := gate.scan(c, bufio.NewReader(c)); !last || err != nil {
		t.Errorf("the old process's last answer: %v, %v", last, err)
	}
	endedWell(t, old, ended)
	if err := reached("20s"); err != nil {
		t.Errorf("once the old process has ended: %v", err)
	}
}
