package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

var (
	kills  = flag.Int("kills", 20, "how often the origin is killed")
	cycles = flag.Duration("cycles", 20*time.Second, "how long snapshots are written, logs trimmed and processes killed")
	seed   = flag.Uint64("seed", 0, "seed of random choices; 0 draws one")
)

// newRand returns a source that -seed repeats.
func newRand(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// pusher gives all its subjects one number, push after push: each push is there whole or not at all. A sure one sends a push
// with its key until it is acknowledged; one that is not gives up at the first failure.
type pusher struct {
	name string
	size int // subjects
	sure bool

	number int            // of the last push that is in the log
	tried  int            // of the last push that was sent
	keys   map[string]int // offset by key of the pushes in the log, 0 where no answer said it
}

func (p *pusher) key() string  { return fmt.Sprintf("%s-%d", p.name, p.tried) }
func (p *pusher) body() []byte { return rows(p.name, 0, p.size, p.tried) }

// run pushes until ctx ends or, if it is not sure, a push fails.
func (p *pusher) run(ctx context.Context, t *testing.T, o *node) {
	for ctx.Err() == nil {
		p.tried++
		push := o.push
		if p.sure {
			push = o.pushSurely
		}
		r, err := push(context.WithoutCancel(ctx), "gz", p.key(), p.body())
		if err == nil && r.Count != p.size {
			t.Errorf("%s: the receipt says %+v", p.key(), r)
		}
		if err != nil {
			if p.sure {
				t.Errorf("%s: %v", p.key(), err)
			}
			return
		}
		p.number, p.keys[p.key()] = p.tried, int(r.Offset)
	}
}

// settle learns what became of the push that was given up.
func (p *pusher) settle(t *testing.T, o *node) {
	t.Helper()
	if p.number == p.tried {
		return
	}
	a, err := call(t.Context(), http.MethodGet, o.at.API+"/v1/issuers/gz/pushes/"+p.key(), o.pushToken, nil)
	var r scanedge.Receipt
	switch {
	case err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &r) == nil && r.Count == p.size:
		p.number, p.keys[p.key()] = p.tried, int(r.Offset)
	case err != nil || !a.is(scanedge.UnknownPush):
		t.Fatalf("asked for %s: %v, %v", p.key(), a, err)
	}
}

// Kill -9 of the origin at any instant, under pushes of 50,000 and of one: every push that was acknowledged is on every edge,
// none is half there, and each key is in the log once, however often it was sent.
func TestFaultKillsLoseNothingAcknowledged(t *testing.T) {
	rnd := newRand(t)
	o := startOrigin(t, releaseBin, "--issuers", "gz")
	all := startEdges(t, 3, releaseBin, o)
	pushers := []*pusher{
		{name: "bulk-a", size: 50_000, sure: true}, {name: "bulk-b", size: 50_000, sure: true}, {name: "bulk-once", size: 50_000},
	}
	for i := range 16 {
		pushers = append(pushers, &pusher{name: fmt.Sprintf("one-%d", i), size: 1, sure: i%4 > 0})
	}
	for _, p := range pushers {
		p.keys = map[string]int{}
	}
	log := &chain{issuer: "gz", keys: map[string]int{}}
	for range *kills {
		underLoad(t, o, pushers, func() {
			time.Sleep(time.Duration(rnd.IntN(600)) * time.Millisecond)
			o.kill()
			if rnd.IntN(4) == 0 {
				victim := all[rnd.IntN(len(all))]
				victim.kill()
				victim.start()
			}
			o.start()
		})
		checkPushers(t, o, all, pushers, log)
	}
	repeatKeys(t, o, pushers)
	total := 0
	for _, p := range pushers {
		total += len(p.keys)
	}
	t.Logf("%d pushes in the log after %d kills", total, *kills)
}

// underLoad does something while all pushers push, and returns when they have stopped.
func underLoad(t *testing.T, o *node, pushers []*pusher, something func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for _, p := range pushers {
		wg.Go(func() { p.run(ctx, t, o) })
	}
	something()
	stop()
	wg.Wait()
}

func checkPushers(t *testing.T, o *node, all []*node, pushers []*pusher, log *chain) {
	t.Helper()
	for _, p := range pushers {
		p.settle(t, o)
	}
	log.read(t, o)
	known := 0
	for _, p := range pushers {
		known += len(p.keys)
		for key := range p.keys {
			if log.keys[key] != 1 {
				t.Fatalf(wrong+"key %s is %d times in the log", key, log.keys[key])
			}
		}
	}
	if len(log.keys) != known {
		t.Fatalf(wrong+"%d keys are in the log, and %d pushes were acknowledged or are known", len(log.keys), known)
	}
	awaitOffset(t, all, "gz", log.at.Offset)
	for _, p := range pushers {
		if p.number > 0 {
			mustAllBe(t, all, o, "gz", p.name, 0, p.size, p.number)
		}
	}
}

// repeatKeys sends the last push of each pusher again: it gets its first answer, and with other deltas it is refused.
func repeatKeys(t *testing.T, o *node, pushers []*pusher) {
	t.Helper()
	for _, p := range pushers {
		p.tried = p.number
		if p.number == 0 {
			continue
		}
		r, err := o.push(t.Context(), "gz", p.key(), p.body())
		if err != nil || r.Count != p.size || int(r.Offset) != p.keys[p.key()] {
			t.Errorf(wrong+"%s again: %+v, %v; the first answer was offset %d", p.key(), r, err, p.keys[p.key()])
		}
		other := bytes.Replace(p.body(), []byte(",green,"), []byte(",red,"), 1)
		if _, err := o.push(t.Context(), "gz", p.key(), other); !refused(err, scanedge.KeyReused) {
			t.Errorf("%s with other deltas: %v", p.key(), err)
		}
	}
}

// Snapshots each second, logs trimmed behind them, and kills at random, while pushes and scans go on: disks stay bounded, every
// process comes up again, every edge is exact, and no answer was wrong.
func TestFaultSnapshotCyclesKeepDisksBounded(t *testing.T) {
	const blocks, block = 10, 20_000
	rnd := newRand(t)
	o := startOrigin(t, releaseBin, "--issuers", "gz", "--snapshot-every", "1s")
	all := startEdges(t, 2, releaseBin, o, "--snapshot-every", "1s", "--peer-listen", "127.0.0.1:0")
	k, stopTicker := startTicker(t, o, "gz", 20*time.Millisecond)
	var stops []func()
	for _, e := range all {
		_, stop := startWatcher(t, k, e, 2)
		stops = append(stops, stop)
	}
	pushers := make([]*pusher, blocks)
	for i := range pushers {
		pushers[i] = &pusher{name: fmt.Sprintf("block-%d", i), size: block, sure: true, keys: map[string]int{}}
	}
	var most struct{ origin, edge int64 }
	trim(t, o, 0)
	underLoad(t, o, pushers, func() {
		for end := time.Now().Add(*cycles); time.Now().Before(end); {
			for wait := time.Now().Add(time.Duration(1500+rnd.IntN(1500)) * time.Millisecond); time.Now().Before(wait); {
				time.Sleep(100 * time.Millisecond)
				most.origin = max(most.origin, diskUse(o.dir))
				most.edge = max(most.edge, diskUse(all[0].dir), diskUse(all[1].dir))
			}
			victim := []*node{o, all[0], all[1]}[rnd.IntN(3)]
			victim.kill()
			victim.start()
		}
	})
	stopTicker()
	_, last := k.newest()
	for _, p := range pushers {
		last.Offset = max(last.Offset, uint64(p.keys[p.key()]))
	}
	awaitOffset(t, all, "gz", last.Offset)
	pushed := int64(0)
	for _, p := range pushers {
		mustAllBe(t, all, o, "gz", p.name, 0, p.size, p.number)
		pushed += int64(p.number) * block * 20
	}
	for _, stop := range stops {
		stop()
	}
	trim(t, o, last.Offset)
	quiet := diskUse(o.dir)
	t.Logf("%d MB were pushed; the origin's disk held %d MB at most and %d MB at rest, an edge's %d MB", pushed>>20, most.origin>>20,
		quiet>>20, most.edge>>20)
	const table = blocks * block * 16
	if quiet > 6*table || most.edge > 6*table {
		t.Errorf("for a table of some %d bytes the origin's disk held %d at rest, an edge's %d at most", table, quiet, most.edge)
	}
	if most.origin > pushed*3/4 {
		t.Errorf("the origin's disk held %d bytes, and %d were pushed in all", most.origin, pushed)
	}
}
