package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// Twenty provinces on one origin: the bulk load of one is not in the way of another's single push (which is printed, for it is
// a matter of the machine), an edge may hold a chosen few, and another issuer needs no restart.
func TestFaultTwentyIssuers(t *testing.T) {
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fmt.Sprintf("p%02d", i)
	}
	o := startOrigin(t, releaseBin, "--issuers", strings.Join(ids, ","))
	every := startEdges(t, 1, releaseBin, o)[0]
	few := startEdges(t, 1, releaseBin, o, "--issuers", "p07,p08")[0]
	for i, id := range ids {
		r := o.mustPush(t, id, "first", rows("s", 0, 10, i+1))
		awaitOffset(t, []*node{every}, id, r.Offset)
		mustAllBe(t, []*node{every}, o, id, "s", 0, 10, i+1)
		if id == "p07" || id == "p08" {
			awaitOffset(t, []*node{few}, id, r.Offset)
			mustAllBe(t, []*node{few}, o, id, "s", 0, 10, i+1)
			continue
		}
		if a := scanOnce(t, few, o, code(id, "s", 1)); !a.is(scanedge.IssuerNotHeld) {
			t.Errorf("the edge of a chosen few answers for %s: %v", id, a)
		}
		if n := few.metric("scanedge_deltas_applied_total", id); n > 0 {
			t.Errorf("the edge of a chosen few has applied %v deltas of %s", n, id)
		}
	}
	alone := singlePushes(t, o, "p07", 200)
	var beside []time.Duration
	besideBulk(t, o, "p00", func() { beside = singlePushes(t, o, "p07", 200) })
	t.Logf("a single push alone: %s", quantiles(alone))
	t.Logf("beside another issuer's pushes of a million: %s", quantiles(beside))

	o.addIssuer(t, "late", "")
	r := o.mustPush(t, "late", "first", rows("s", 0, 10, 9))
	awaitOffset(t, []*node{every}, "late", r.Offset)
	mustAllBe(t, []*node{every}, o, "late", "s", 0, 10, 9)
}

// besideBulk does something while pushes of a million deltas follow one upon the other; it begins when the first is under way.
func besideBulk(t *testing.T, o *node, issuer string, something func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	body := rows("bulk", 0, 1_000_000, 1)
	pushes := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ctx.Err() == nil; pushes++ {
			if _, err := o.push(context.WithoutCancel(ctx), issuer, "", body); err != nil {
				t.Errorf("bulk: %v", err)
				return
			}
		}
	})
	something()
	stop()
	wg.Wait()
	t.Logf("%d pushes of a million meanwhile", pushes)
}

// singlePushes times pushes of one delta, one after the other.
func singlePushes(t *testing.T, o *node, issuer string, count int) (took []time.Duration) {
	t.Helper()
	for n := range count {
		began := time.Now()
		if _, err := o.push(t.Context(), issuer, "", rows("single", 0, 1, n)); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
		time.Sleep(5 * time.Millisecond)
	}
	return took
}

func quantiles(d []time.Duration) string {
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[int(q*float64(len(d)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, p99.9 %v, most %v of %d", at(0.5), at(0.99), at(0.999), at(1), len(d))
}
