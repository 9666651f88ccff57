package replica

import (
	"log/slog"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/issuer"
)

// newTestKeeper is a Keeper that nobody runs; what it publishes last is stored in got.
func newTestKeeper(t *testing.T, got *View) *Keeper {
	return New(Config{Client: newClient(), Sources: newClient(), Dir: t.TempDir(), SnapshotEvery: 10 * time.Minute, ScrubEvery: 10 * time.Minute,
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
		Publish: func(_ issuer.Public, v View) {
			if got != nil {
				*got = v
			}
		}})
}

// newTestReplica is a replica that nobody starts, of such a Keeper.
func newTestReplica(t *testing.T, got *View) *Replica {
	t.Helper()
	r, err := newReplica(newChain(t).secret.Public(), newTestKeeper(t, got))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A table that is suspect stays so whatever beats agree with it, until another one takes its place.
func TestSuspectUntilReplaced(t *testing.T) {
	var got View
	r := newTestReplica(t, &got)
	first, second := newTrack(), newTrack()
	first.beat, second.beat = time.Now(), time.Now()
	r.took(second, false)
	if got.Table != nil {
		t.Errorf("published before it agreed: %+v", got)
	}
	r.took(first, true)
	r.suspect(new(cache.Table), "another's fault")
	if got.Table != first.table || got.Suspect {
		t.Errorf("agreed: %+v", got)
	}
	r.suspect(first.table, "scrub")
	if !got.Suspect || got.Beat != first.beat {
		t.Errorf("suspect: %+v", got)
	}
	first.beat = time.Now()
	if r.took(first, true); !got.Suspect || r.report().Why != "scrub" {
		t.Errorf("after a beat: %+v, %+v", got, r.report())
	}
	if r.took(second, true); got.Suspect || got.Table != second.table || r.report().Why != "" {
		t.Errorf("replaced: %+v, %+v", got, r.report())
	}
}

// Memory that changed is found and said though the log is out of reach and nobody follows it.
func TestScrubsWithoutALog(t *testing.T) {
	var got View
	r := newTestReplica(t, &got)
	shown := newTrack()
	shown.table.Put(cache.Key{Hi: 5, Lo: 6}, green)
	shown.beat = time.Now()
	r.took(shown, true)
	for i := range cache.Shards {
		r.scrubShard(r.scrubbing(), i)
	}
	if report := r.report(); got.Suspect || report.Scrubbed.IsZero() || report.Why != "" {
		t.Errorf("all is well: %+v, %+v", got, report)
	}
	for _, words := range shown.table.Memory() {
		for i, w := range words {
			if i%8 > 2 && w != 0 {
				words[i] ^= 1
			}
		}
	}
	r.scrubShard(r.scrubbing(), 0)
	if !got.Suspect || r.report().Why == "" || r.scrubbing() != nil {
		t.Errorf("changed: %+v, %+v", got, r.report())
	}
}

// A table that is shown and found wrong does not end the way of the one that will take its place.
func TestAScrubEndsOnlyItsOwnTable(t *testing.T) {
	r := newTestReplica(t, nil)
	shown, next := newTrack(), newTrack()
	shown.table.Put(cache.Key{Hi: 5, Lo: 6}, green)
	shown.beat = time.Now()
	r.next = shown
	r.took(shown, true)
	for _, words := range shown.table.Memory() {
		for i, w := range words {
			if i%8 > 2 && w != 0 {
				words[i] ^= 1
			}
		}
	}
	ended := 0
	r.stop = func(error) { ended++ }
	for _, c := range []struct {
		followed *track
		ended    int
	}{{next, 0}, {shown, 1}} {
		r.next = c.followed
		if r.scrubShard(shown.table, 0); ended != c.ended || !r.view.Suspect {
			t.Errorf("following ended %d times, not %d; suspect: %v", ended, c.ended, r.view.Suspect)
		}
	}
}

// What was kept of a table that is dropped counts for nothing: the next one is kept though it be at the same offset.
func TestADroppedTableIsKeptAgain(t *testing.T) {
	r := newTestReplica(t, nil)
	for range 2 {
		k := newTrack()
		k.beat, r.next = time.Now(), k
		r.took(k, true)
		r.keepOnce(t.Context())
		if found, err := r.store.LoadOwn(new(cache.Table)); !found || err != nil {
			t.Fatalf("not kept: %v", err)
		}
		r.forget(k, step{anew: true, drop: true})
		if found, _ := r.store.LoadOwn(new(cache.Table)); found || !r.report().Kept.IsZero() {
			t.Error("not dropped, or still reported")
		}
	}
}
