package e2e

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

var (
	pushes = flag.Int("pushes", 50, "how many pushes are followed to the edges, at each distance")
	load   = flag.Int("load", 0, "scans a second over all edges while pushes are followed to ten of them; -1: half of what the machine carries")
)

// How long a push takes until an edge shows it, over links that take so long each way. It is printed, beside what the link adds.
func TestFaultPropagationOverDistance(t *testing.T) {
	o := startOrigin(t, releaseBin, "--issuers", "gz")
	for _, delay := range []time.Duration{0, 30 * time.Millisecond, 150 * time.Millisecond} {
		d := newDoor(t, o)
		d.api.delay.Store(int64(delay))
		edge := startEdges(t, 1, releaseBin, o, "--origin", d.url)[0]
		seen := follow(t, o, []*node{edge}, *pushes)
		t.Logf("%v each way: push to visible %s; from the acknowledgement on %s", delay, quantiles(seen.sent), quantiles(seen.acked))
		edge.stop()
	}
}

// sightings are how long pushes took until the last edge showed them: from when they were sent, and from the acknowledgement;
// a push that shows before its acknowledgement has arrived took no time after it.
type sightings struct{ sent, acked []time.Duration }

// follow pushes one delta after the other and waits for each on every edge.
func follow(t *testing.T, o *node, all []*node, count int) (s sightings) {
	t.Helper()
	for n := 1; n <= count; n++ {
		shown := make([]time.Time, len(all))
		var wg sync.WaitGroup
		began := time.Now()
		for i, e := range all {
			wg.Go(func() { shown[i] = awaitNumber(t, e.scanner(o), "gz:followed-0", n) })
		}
		if _, err := o.push(t.Context(), "gz", "", rows("followed", 0, 1, n)); err != nil {
			t.Fatal(err)
		}
		acked := time.Now()
		wg.Wait()
		var last time.Time
		for _, at := range shown {
			if at.After(last) {
				last = at
			}
		}
		s.sent = append(s.sent, last.Sub(began))
		s.acked = append(s.acked, max(0, last.Sub(acked)))
		time.Sleep(10 * time.Millisecond)
	}
	return s
}

// awaitNumber asks each half millisecond until the subject has the number.
func awaitNumber(t *testing.T, edge *scanedge.Edge, code string, n int) time.Time {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if v, err := edge.Scan(ctx, code); err == nil && numberOf(v.Until) >= n {
			return time.Now()
		}
		time.Sleep(500 * time.Microsecond)
	}
	t.Errorf("%s never had number %d", code, n)
	return time.Now()
}
