package replica

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/snapshot"
)

func TestPausesDoubleAndAreSpread(t *testing.T) {
	for _, r := range []*backoffRange{pauseAgain, pauseOffer, pauseRefused, pauseOut, pauseAnew} {
		synctest.Test(t, func(t *testing.T) {
			var b backoff
			for want := r.first; want < 4*r.most; want *= 2 {
				began := time.Now()
				if !b.wait(t.Context(), r) {
					t.Fatal("ended")
				}
				if got, want := time.Since(began), min(want, r.most); got < want*3/4 || got > want*5/4 {
					t.Errorf("waited %v, not some %v", got, want)
				}
			}
			ended, end := context.WithCancel(t.Context())
			end()
			began := time.Now()
			if b.wait(ended, r) || time.Since(began) != 0 {
				t.Error("waited though the context had ended")
			}
		})
	}
}

// asking is a transport that notes when it was used, beside those for reports, and has nobody at the other end.
type asking struct {
	mu           sync.Mutex
	times, tells []time.Duration
}

func (a *asking) since(began time.Time) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if req.Method == http.MethodPost {
			a.tells = append(a.tells, time.Since(began))
		} else {
			a.times = append(a.times, time.Since(began))
		}
		return nil, errors.New("nobody there")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Edges that lost their origin at the same moment do not come back at the same moment, nor often.
func TestAHundredEdgesDoNotStampede(t *testing.T) {
	var second []time.Duration // when each edge asked for the tenth time
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			var a asking
			k := newTestKeeper(t, nil)
			k.origin.client.Transport = a.since(time.Now())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			k.Run(ctx)
			if n, m := len(a.times), len(a.tells); n < 25 || n > 50 || m < 25 || m > 50 {
				t.Errorf("it asked %d times in a minute, and told %d times", n, m)
			}
			second = append(second, a.times[9])
		})
	}
	slices.Sort(second)
	if spread := second[99] - second[0]; spread < time.Second {
		t.Errorf("a hundred edges ask within %v", spread)
	}
}

// All of a table is read again once in the stated time, evenly.
func TestScrubsAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestReplica(t, nil)
		shown := newTrack()
		shown.beat = time.Now()
		r.took(shown, true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.scrub(ctx)
		for pass := range 3 {
			began := time.Now()
			time.Sleep(r.cfg.ScrubEvery / 2)
			synctest.Wait()
			r.mu.Lock()
			done := r.scrubs.done
			r.mu.Unlock()
			if pass == 0 && (done < cache.Shards*4/10 || done > cache.Shards*6/10) {
				t.Errorf("after half the time %d of %d shards were read", done, cache.Shards)
			}
			time.Sleep(r.cfg.ScrubEvery * 6 / 10)
			synctest.Wait()
			if last := r.report().Scrubbed; last.Before(began) {
				t.Errorf("pass %d has not ended; the last one did at %v", pass, last)
			}
		}
		cancel()
		synctest.Wait()
	})
}

// A table is kept soon after it agreed first, then at intervals if it moved, and never while it is doubted.
func TestKeepsATableNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestReplica(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go r.keepOwn(ctx)
		defer synctest.Wait()
		defer cancel()
		kept := func() time.Time { synctest.Wait(); return r.report().Kept }
		time.Sleep(time.Hour)
		if !kept().IsZero() {
			t.Fatal("kept nothing")
		}
		k := newTrack()
		k.beat = time.Now()
		r.mu.Lock()
		r.next = k
		r.mu.Unlock()
		r.took(k, true)
		time.Sleep(keepWithin + 2*time.Second)
		first := kept()
		if first.IsZero() {
			t.Fatal("not kept")
		}
		time.Sleep(3 * r.cfg.SnapshotEvery)
		if kept() != first {
			t.Error("kept again though nothing moved")
		}
		k.table.Begin(cache.Position{Offset: 7})
		k.table.End()
		time.Sleep(r.cfg.SnapshotEvery * 12 / 10)
		moved := kept()
		if moved == first {
			t.Error("not kept though it moved")
		}
		r.suspect(k.table, "a test's fault")
		k.table.Begin(cache.Position{Offset: 8})
		k.table.End()
		time.Sleep(2 * r.cfg.SnapshotEvery)
		if kept() != moved {
			t.Error("kept a table that is doubted")
		}
	})
}

// A scan that took hold of a view may look something up some time later, and passes for fresh as long as the lease: until then a table is
// not replaced in place.
func TestNothingIsReplacedUnderAFreshView(t *testing.T) {
	const lease = 3 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var got View
		r := newTestReplica(t, &got)
		r.memory.limit = 1
		secret := newChain(t).secret
		r.pub = secret.Public()
		store, err := snapshot.Open(t.TempDir(), r.pub)
		if err != nil {
			t.Fatal(err)
		}
		r.store = store
		older, key := new(cache.Table), cache.Key{Hi: 5, Lo: 6}
		older.Put(key, green)
		file, err := store.Write(t.Context(), older, secret, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		k := newTrack()
		k.table.Put(key, red)
		k.beat = time.Now()
		r.took(k, true)
		fresh := got
		go func() {
			if _, err := r.read(t.Context(), file); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(lease)
		if rec, _ := fresh.Table.Lookup(key); rec != red {
			t.Error("replaced within the lease of a view that nobody doubted")
		}
		synctest.Wait()
		if !got.Suspect {
			t.Error("not suspect by then")
		}
		time.Sleep(lease)
		synctest.Wait()
		if rec, _ := fresh.Table.Lookup(key); rec != green {
			t.Error("not replaced")
		}
	})
}

// The end of an edge does not wait for a table that is being kept.
func TestKeepingEnds(t *testing.T) {
	r := newTestReplica(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.store.Keep(ctx, new(cache.Table)); !errors.Is(err, context.Canceled) {
		t.Error(fmt.Errorf("kept: %w", err))
	}
	if found, err := r.store.LoadOwn(new(cache.Table)); found || err != nil {
		t.Errorf("kept all the same: %v", err)
	}
}
