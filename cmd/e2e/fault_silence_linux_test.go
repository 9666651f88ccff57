package e2e

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// watched is an origin and an edge behind a door, ticked and watched.
type watched struct {
	origin, edge *node
	door         *door
	ticker       *ticker
	watcher      *watcher
}

func startWatched(t *testing.T, exe string) *watched {
	t.Helper()
	w := &watched{origin: startOrigin(t, exe, "--issuers", "gz")}
	w.door = newDoor(t, w.origin)
	w.edge = startEdges(t, 1, exe, w.origin, "--origin", w.door.url)[0]
	w.ticker, _ = startTicker(t, w.origin, "gz", 20*time.Millisecond)
	w.watcher, _ = startWatcher(t, w.ticker, w.edge, 8)
	return w
}

// A log that stands still or is gone, in each way a network has of saying so or not, while all else of HTTP works: past the lease nothing
// is vouched for, every scan is answered, and when the network is whole again so is the edge.
func TestFaultSilentLog(t *testing.T) {
	w := startWatched(t, bin)
	for name, state := range map[string]linkState{"stalled": stalled, "cut": cut, "lost": lost} {
		w.door.log.set(state)
		w.watcher.awaitStale(t)
		w.door.log.set(whole)
		w.watcher.awaitVouching(t)
		w.watcher.mustHaveAnswered(t, name)
	}
}

// The same with all of HTTP gone.
func TestFaultCutOffAltogether(t *testing.T) {
	w := startWatched(t, bin)
	for name, state := range map[string]linkState{"stalled": stalled, "cut": cut, "lost": lost} {
		w.door.api.set(state)
		w.watcher.awaitStale(t)
		w.door.api.set(whole)
		w.watcher.awaitVouching(t)
		w.watcher.mustHaveAnswered(t, name)
	}
}

// A frozen origin looks like a healthy connection on which nothing comes.
func TestFaultFrozenOrigin(t *testing.T) {
	w := startWatched(t, bin)
	w.origin.signal(syscall.SIGSTOP)
	time.Sleep(6 * time.Second)
	w.watcher.awaitStale(t)
	w.origin.signal(syscall.SIGCONT)
	w.watcher.awaitVouching(t)
	w.watcher.mustHaveAnswered(t, "frozen")
}

// An edge that was frozen finds old beats in its sockets when it wakes, and scans that came meanwhile: it must vouch for nothing
// that it last compared before it froze.
func TestFaultFrozenEdge(t *testing.T) {
	w := startWatched(t, releaseBin)
	for round, frozen := range []time.Duration{6 * time.Second, 10 * time.Second} {
		w.edge.signal(syscall.SIGSTOP)
		var waiting sync.WaitGroup
		for began := time.Now(); time.Since(began) < frozen; time.Sleep(50 * time.Millisecond) {
			waiting.Go(w.watcher.scan)
		}
		w.origin.mustPush(t, "gz", fmt.Sprintf("backlog-%d", round), rows("backlog", 0, 300_000, round))
		w.edge.signal(syscall.SIGCONT)
		for range 200 { // what asks in its first instants
			waiting.Go(w.watcher.scan)
		}
		waiting.Wait()
		w.watcher.awaitVouching(t)
	}
}
