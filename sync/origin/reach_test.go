package origin

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
)

// says makes an edge report that it shows an offset of demo-a.
func (f *fleet) says(edge string, offset uint64, holds ...string) {
	f.put(edge, access.Report{Holds: holds, Issuers: []scanedge.EdgeIssuerStatus{shows("demo-a", offset)}}, always)
}

// Against an oracle: a waiter is done exactly when each of its edges shows the offset, holds the issuer no more, or was revoked.
func TestWaitersAgainstAnOracle(t *testing.T) {
	const edges = 5
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 0))
	f := newFleet(metrics.NewSet())
	shown, gone := map[string]uint64{}, map[string]bool{}
	type wait struct {
		*waiter
		leave func()
		left  map[string]bool
	}
	var all []wait
	for range 20_000 {
		name := fmt.Sprint(dice.IntN(edges))
		switch dice.IntN(10) {
		case 0:
			var names []string
			for i := range edges {
				if e := fmt.Sprint(i); !gone[e] && dice.IntN(2) == 0 {
					names = append(names, e)
				}
			}
			w, leave, ok := f.await("demo-a", dice.Uint64N(200), names)
			if !ok {
				t.Fatal("too many")
			}
			left := map[string]bool{}
			for _, n := range names {
				at, said := shown[n] // who has said nothing shows nothing, not offset 0
				left[n] = !said || at < w.offset
			}
			all = append(all, wait{w, leave, left})
		case 1:
			if len(all) > 0 {
				i := dice.IntN(len(all))
				all[i].leave()
				all = slices.Delete(all, i, i+1)
			}
		case 2:
			if dice.IntN(20) == 0 {
				f.forget(name)
				delete(shown, name)
				for _, w := range all {
					w.left[name] = false
				}
			}
		default:
			shown[name] = dice.Uint64N(200) // it may also start anew
			f.says(name, shown[name])
			for _, w := range all {
				w.left[name] = w.left[name] && shown[name] < w.offset
			}
		}
		for _, w := range all {
			want := true
			for _, left := range w.left {
				want = want && !left
			}
			done := false
			select {
			case <-w.done:
				done = true
			default:
			}
			if done != want {
				t.Fatalf("seed %d: done %v for %d of %v; they show %v", seed, done, w.offset, w.edges, shown)
			}
		}
	}
	for _, w := range all {
		w.leave()
	}
	if len(f.waiting) != 0 || f.waiters != 0 {
		t.Errorf("left behind: %v, %d", f.waiting, f.waiters)
	}
}

// ask waits for edges as a pusher does.
func ask(o *Origin, ctx context.Context, path string) (code int, r scanedge.Reached, p scanedge.Problem) {
	req := httptest.NewRequestWithContext(ctx, "GET", "/v1/issuers/demo-a/offsets/"+path, nil)
	req.Header.Set("Authorization", "Bearer "+o.tokens.Push)
	rec := httptest.NewRecorder()
	o.API().ServeHTTP(rec, req)
	_ = json.Unmarshal(rec.Body.Bytes(), &r)
	_ = json.Unmarshal(rec.Body.Bytes(), &p)
	return rec.Code, r, p
}

func TestReached(t *testing.T) {
	o := openTLS(t, "demo-a", "demo-b")
	receipt := pushOK(t, o.Origin, "demo-a", "subject,status\nx,green\n").Offset
	at := fmt.Sprint(receipt)
	if code, r, _ := ask(o.Origin, t.Context(), at); code != 200 || r.Reached == nil || len(r.Reached) != 0 {
		t.Errorf("without edges: %d %+v", code, r)
	}
	for _, name := range []string{"one", "two", "chosen"} {
		o.join(name, "*")
	}
	o.join("foreign", "demo-b")
	o.enrol("never", `{"issuers":["*"]}`)
	o.fleet.says("one", receipt)
	o.fleet.says("chosen", 0, "demo-b")
	code, _, p := ask(o.Origin, t.Context(), at+"?wait=1ms&edges=all")
	if code != 504 || p.Type != scanedge.NotReached || !slices.Equal(p.Reached, []string{"one"}) || !slices.Equal(p.Missing, []string{"two"}) ||
		!strings.Contains(p.Detail, "two") {
		t.Errorf("%d %+v", code, p)
	}
	if code, r, _ := ask(o.Origin, t.Context(), at+"?edges=one"); code != 200 || !slices.Equal(r.Reached, []string{"one"}) || r.Offset != receipt {
		t.Errorf("of one: %d %+v", code, r)
	}
	if code, _, p := ask(o.Origin, t.Context(), at+"?edges=never,one"); code != 504 || !slices.Equal(p.Missing, []string{"never"}) {
		t.Errorf("of one that has not joined: %d %+v", code, p)
	}
	for path, want := range map[string]string{
		at + "?edges=one,nobody": "404 unknown-edge", at + "?edges=foreign": "400 bad-request", at + "?edges=chosen": "400 bad-request",
		fmt.Sprint(receipt + 100): "409 offset-ahead", "-1": "400 bad-request", at + "?wait=-1s": "400 bad-request",
		at + "?wait=61s": "400 bad-request", at + "?wait=5": "400 bad-request", at + "?edges=,": "404 unknown-edge",
	} {
		if code, _, p := ask(o.Origin, t.Context(), path); fmt.Sprintf("%d %s", code, p.Type) != want {
			t.Errorf("%s: %d %s, not %s", path, code, p.Type, want)
		}
	}
	answers := make(chan scanedge.Reached)
	for range 20 {
		go func() { _, r, _ := ask(o.Origin, t.Context(), at+"?wait=1m"); answers <- r }()
	}
	o.fleet.awaitWaiters(20)
	o.fleet.says("two", receipt-1)
	o.fleet.says("two", receipt)
	for range 20 {
		if r := <-answers; !slices.Equal(r.Reached, []string{"one", "two"}) {
			t.Errorf("%+v", r)
		}
	}
	// Who is revoked meanwhile is not waited for.
	o.join("three", "*")
	go func() { _, r, _ := ask(o.Origin, t.Context(), at+"?wait=1m"); answers <- r }()
	o.fleet.awaitWaiters(1)
	call(o.API(), "DELETE", "/v1/edges/three", o.tokens.Admin, "")
	if r := <-answers; !slices.Equal(r.Reached, []string{"one", "two"}) || len(r.Missing) != 0 {
		t.Errorf("%+v", r)
	}
	// A caller that goes away leaves nothing behind; an origin that stops lets nobody wait.
	o.join("four", "*")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { o.fleet.awaitWaiters(1); cancel() }()
	ask(o.Origin, ctx, at+"?wait=1m")
	if len(o.fleet.waiting) != 0 {
		t.Errorf("%v", o.fleet.waiting)
	}
	go func() { o.fleet.awaitWaiters(1); o.EndStreams() }()
	if code, _, p := ask(o.Origin, t.Context(), at+"?wait=1m"); code != 503 || p.Type != scanedge.NotReady {
		t.Errorf("%d %+v", code, p)
	}
}

// awaitWaiters waits until so many wait.
func (f *fleet) awaitWaiters(n int) {
	for {
		f.mu.Lock()
		have := f.waiters
		f.mu.Unlock()
		if have == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Who waits is bounded.
func TestTooManyWaiters(t *testing.T) {
	f := newFleet(metrics.NewSet())
	for range maxWaiters {
		if _, _, ok := f.await("demo-a", 1, []string{"one"}); !ok {
			t.Fatal("refused")
		}
	}
	if _, _, ok := f.await("demo-a", 1, nil); ok {
		t.Error("one more")
	}
}

// An edge is live for the lease after a report, and then silent.
func TestStatesOfEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(metrics.NewSet())
		e := enrol.Edge{Name: "one", Issuers: []string{enrol.All}, Joined: time.Now()}
		is := func(want string) {
			t.Helper()
			if got, _ := f.stateOf(e, time.Now()); got != want {
				t.Errorf("%s, not %s", got, want)
			}
		}
		is(scanedge.EdgeNever)
		f.expect("one", always)
		is(scanedge.EdgeSilent)
		f.says("one", 1)
		time.Sleep(scanedge.Lease)
		is(scanedge.EdgeLive)
		time.Sleep(time.Millisecond)
		is(scanedge.EdgeSilent)
		f.says("one", 1)
		is(scanedge.EdgeLive)
		e.Revoked = time.Now()
		is(scanedge.EdgeRevoked)
	})
}

// An edge that was revoked between its joining and the origin's learning of it leaves nothing behind.
func TestARevocationThatOvertakesAJoin(t *testing.T) {
	o := openTLS(t, "demo-a")
	o.join("one", "demo-a")
	call(o.API(), "DELETE", "/v1/edges/one", o.tokens.Admin, "")
	o.expect("one") // as the join does that was under way
	o.enrol("two", `{"issuers":["demo-a"]}`)
	o.expect("two") // its predecessor's, which it replaced
	for _, name := range []string{"one", "two"} {
		if _, known := o.fleet.get(name); known || slices.Contains(o.cfg.Metrics.ListMetricNames(), ageOf(name)) {
			t.Errorf("%s is expected", name)
		}
	}
	o.join("three", "demo-a")
	if _, known := o.fleet.get("three"); !known || !slices.Contains(o.cfg.Metrics.ListMetricNames(), ageOf("three")) {
		t.Error("three is not expected")
	}
}
