package e2e

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

var (
	pushes = flag.Int("pushes", 50, "how many pushes are followed to the edges, at each distance")
	load   = flag.Int("load", 0, "scans a second over all edges while pushes are followed to ten of them")
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

// The same on ten edges of one machine, under as many scans as -load says.
func TestFaultPropagationToTenEdges(t *testing.T) {
	o := startOrigin(t, releaseBin, "--issuers", "gz")
	all := startEdges(t, 10, releaseBin, o)
	o.mustPush(t, "gz", "", rows("s", 0, 100_000, 1))
	scans, stop := scanSteadily(t, all, o, *load)
	seen := follow(t, o, all, *pushes)
	rate := stop()
	t.Logf("%d of %d scans/s: push to visible on the last of ten edges %s; from the acknowledgement on %s", rate, *load,
		quantiles(seen.sent), quantiles(seen.acked))
	if *load > 0 && scans.Load() == 0 {
		t.Error("no scan was answered")
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

// scanSteadily scans so many codes a second, spread over the edges, until the returned function is called, which returns the
// rate that was kept.
func scanSteadily(t *testing.T, all []*node, o *node, rate int) (*atomic.Int64, func() int) {
	t.Helper()
	var scans atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	began := time.Now()
	const workers = 16
	for i := range min(workers, rate) {
		edge := all[i%len(all)].scanner(o)
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				due := began.Add(time.Duration(n) * time.Second * workers / time.Duration(rate))
				pause(ctx, time.Until(due))
				if _, err := edge.Scan(ctx, fmt.Sprintf("gz:s-%d", n%100_000)); err == nil {
					scans.Add(1)
				}
			}
		})
	}
	return &scans, func() int {
		cancel()
		wg.Wait()
		return int(float64(scans.Load()) / time.Since(began).Seconds())
	}
}
