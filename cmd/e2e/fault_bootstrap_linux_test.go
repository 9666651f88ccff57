package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// A hundred edges that start at once must not cost an origin a hundred snapshots: twenty do not cost it twenty.
func TestFaultEdgesThatStartTogetherShareSnapshots(t *testing.T) {
	const subjects, count = 1_000_000, 20
	o := trimmedOrigin(t, subjects)
	d := newDoor(t, o)
	all := make([]*node, count)
	for i := range all {
		all[i] = newEdge(t, releaseBin, o, "--origin", d.url, "--peer-listen", "127.0.0.1:0")
	}
	time.Sleep(1500 * time.Millisecond) // what was pushed last is in a snapshot by now: another one meanwhile would be fetched beside it
	began := time.Now()
	var wg sync.WaitGroup
	for _, e := range all {
		wg.Go(func() { e.begin(); e.awaitReady() })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	last := o.mustPush(t, "gz", "after", rows("late", 0, 1, 7))
	awaitOffset(t, all, "gz", last.Offset)
	mustAllBe(t, all, o, "gz", "late", 0, 1, 7)
	mustAllBe(t, all, o, "gz", "s", subjects-1000, subjects, 1)
	served := d.served()
	t.Logf("%d edges ready in %v; the origin served %d transfers and refused %d", count, time.Since(began).Round(time.Millisecond),
		len(served), len(d.transfers)-len(served))
	if len(served) == 0 || len(served) > count/2 {
		t.Errorf("%d edges cost the origin %d transfers", count, len(served))
	}
}

// trimmedOrigin returns an origin with so many subjects of issuer gz, all of number 1, in a snapshot, of which the log holds
// nothing any more.
func trimmedOrigin(t *testing.T, subjects int, more ...string) *node {
	t.Helper()
	o := startOrigin(t, releaseBin, append([]string{"--issuers", "gz", "--snapshot-every", "1s"}, more...)...)
	const piece = 500_000
	var last scanedge.Receipt
	for from := 0; from < subjects; from += piece {
		last = o.mustPush(t, "gz", fmt.Sprintf("load-%d", from), rows("s", from, min(from+piece, subjects), 1))
	}
	trim(t, o, last.Offset)
	return o
}

// trim pushes until the log no longer has what follows an offset.
func trim(t *testing.T, o *node, offset uint64) {
	t.Helper()
	n := 0
	eventually(t, fmt.Sprintf("trimmed behind %d", offset), func() bool {
		n++
		o.mustPush(t, "gz", "", rows("trim", 0, 100, n))
		time.Sleep(200 * time.Millisecond)
		return o.trimmed(t, "gz", offset)
	})
}

// An edge that was cut off until the log no longer has what it needs serves stale all the while, and then mends itself from a
// snapshot. The transfer breaks off twice, and goes on where it was.
func TestFaultCutOffPastTheLog(t *testing.T) {
	const subjects = 400_000
	o := trimmedOrigin(t, subjects)
	d := newDoor(t, o)
	edge := startEdges(t, 1, releaseBin, o, "--origin", d.url)[0]
	k, stopTicker := startTicker(t, o, "gz", 20*time.Millisecond)
	w, stopWatcher := startWatcher(t, k, edge, 4)
	before := len(d.served())
	d.api.set(cut)
	_, last := k.newest()
	for i := range 3 { // more than the origin keeps in memory
		o.mustPush(t, "gz", fmt.Sprintf("changed-%d", i), rows("s", 0, subjects, 2))
	}
	trim(t, o, last.Offset+1)
	w.awaitStale(t)
	w.mustHaveAnswered(t, "cut off")
	d.breakAfter.Store(1 << 20)
	d.api.set(whole)
	eventually(t, "broken off twice", func() bool { return len(d.served()) > before+2 })
	d.breakAfter.Store(0)
	w.awaitVouching(t)
	stopTicker()
	_, last = k.newest()
	awaitOffset(t, []*node{edge}, "gz", last.Offset)
	mustAllBe(t, []*node{edge}, o, "gz", "s", 0, subjects, 2)
	stopWatcher()
	w.mustHaveAnswered(t, "cut off, and until mended")
	checkResumed(t, d.served()[before:])
}

// checkResumed holds transfers of one snapshot to this: each goes on somewhere between where the one before began and what the
// door had sent of it.
func checkResumed(t *testing.T, transfers []*transfer) {
	t.Helper()
	from, sent, resumed := int64(0), int64(0), 0
	for _, tr := range transfers {
		t.Logf("a transfer from %d on, %d bytes", tr.from, tr.bytes.Load())
		if tr.from > 0 {
			resumed++
			// What the door had sent may still lie in the sockets' buffers, megabytes of it, when the edge is killed.
			if tr.from < from || tr.from > sent {
				t.Errorf("it was resumed at %d; the transfer before began at %d, and %d had been sent", tr.from, from, sent)
			}
		}
		from, sent = tr.from, tr.from+tr.bytes.Load()
	}
	if resumed == 0 {
		t.Error("no transfer was resumed")
	}
}

// An edge that is killed while it fetches its first snapshot goes on where it was. One that is killed later starts from its own
// disk: it fetches nothing, and vouches for nothing before a beat agreed.
func TestFaultRestartedEdge(t *testing.T) {
	const subjects = 400_000
	o := trimmedOrigin(t, subjects, "--snapshot-every", "5s") // so its log reaches back as far as the table that the edge keeps
	d := newDoor(t, o)
	d.breakAfter.Store(1 << 20)
	edge := startEdge(t, releaseBin, o, "--origin", d.url, "--snapshot-every", "1s")
	eventually(t, "broken off", func() bool { return len(d.served()) > 1 })
	edge.kill()
	d.breakAfter.Store(0)
	edge.start()
	edge.awaitReady()
	checkResumed(t, d.served())
	for _, tr := range d.served()[1:] {
		if tr.from == 0 {
			t.Error("what had come before the kill was fetched again")
		}
	}
	k, _ := startTicker(t, o, "gz", 20*time.Millisecond)
	w, stopWatcher := startWatcher(t, k, edge, 4)
	edge.awaitKept("gz")
	before := len(d.served())
	for range 3 {
		edge.kill()
		edge.start()
		edge.awaitReady()
		w.awaitVouching(t)
	}
	stopWatcher()
	if n := len(d.served()) - before; n != 0 {
		t.Errorf("three restarts fetched %d snapshots", n)
	}
	mustAllBe(t, []*node{edge}, o, "gz", "s", 0, subjects, 1)
}

// Without its origin, an edge that comes back still has its table, but nobody who vouches for it.
func TestFaultRestartWithoutOrigin(t *testing.T) {
	o := trimmedOrigin(t, 1000)
	edge := startEdges(t, 1, releaseBin, o, "--snapshot-every", "1s")[0]
	edge.awaitKept("gz")
	o.kill()
	edge.kill()
	edge.start()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	v, err := edge.scanner(o).Scan(ctx, code("gz", "s", 1))
	var problem *scanedge.Problem
	if err == nil && !v.Stale || err != nil && !errors.As(err, &problem) {
		t.Errorf("%+v, %v", v, err)
	}
	o.start()
	edge.awaitReady()
	awaitOffset(t, []*node{edge}, "gz", 1)
	mustAllBe(t, []*node{edge}, o, "gz", "s", 0, 1000, 1)
}

// awaitKept waits until an edge has a table of the issuer on its own disk.
func (n *node) awaitKept(issuer string) {
	n.t.Helper()
	eventually(n.t, n.name+" keeping its table", func() bool {
		_, err := os.Stat(filepath.Join(n.dir, "snapshots", issuer, "own.table"))
		return err == nil
	})
}
