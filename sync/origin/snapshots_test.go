package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// Tests say themselves when a snapshot is due.
func init() { snapshotLook, snapshotRetry = time.Hour, 0 }

func openErr(dir string, issuers ...string) (*Origin, error) {
	return Open(context.Background(), Config{
		Dir: dir, Issuers: issuers, Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
	})
}

func take(t *testing.T, o *Origin) snapshot.File {
	t.Helper()
	s := o.writers["demo-a"].snapshots
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	return *s.newest.Load()
}

func firstOf(t *testing.T, o *Origin) uint64 {
	t.Helper()
	first, _, _, err := o.writers["demo-a"].log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// pushN pushes a batch by which the table is another one.
func pushN(t *testing.T, o *Origin, n int) {
	t.Helper()
	pushOK(t, o, "demo-a", fmt.Sprintf("subject,status\nx%d,red\nshared,%s\n", n, []string{"red", "green"}[n%2]))
}

// digestOf is the table's digest, and that it is what its subjects make it.
func digestOf(t *testing.T, o *Origin) cache.Digest {
	t.Helper()
	return o.writers["demo-a"].table.Digest()
}

func copyAll(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Two snapshots are kept, and of the log what follows the older. Whichever of them a start begins with, the table is the same.
func TestAStartFromASnapshot(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	var taken []snapshot.File
	for i := range 4 {
		pushN(t, o, i)
		taken = append(taken, take(t, o))
		want := uint64(1)
		if i > 0 {
			want = taken[i-1].Began.Offset + 1
		}
		if first := firstOf(t, o); first != want {
			t.Errorf("after snapshot %d the log begins at %d, want %d", i, first, want)
		}
	}
	pushN(t, o, 4)
	store := o.writers["demo-a"].snapshots.store
	if all := store.List(); len(all) != 2 || all[0].ID != taken[3].ID || all[1].ID != taken[2].ID {
		t.Errorf("kept: %v", all)
	}
	digest, at, epoch := digestOf(t, o), o.writers["demo-a"].at, o.writers["demo-a"].epoch
	o.Close()
	for _, damage := range []string{"none", "the newest", "its state"} {
		t.Run(damage, func(t *testing.T) {
			d := t.TempDir()
			copyAll(t, dir, d)
			switch path := filepath.Join(d, "snapshots", "demo-a", filepath.Base(taken[3].Table)); damage {
			case "the newest":
				flip(t, path)
			case "its state":
				flip(t, strings.Replace(path, ".table", ".state", 1))
			}
			o := open(t, d, "demo-a")
			w := o.writers["demo-a"]
			if digestOf(t, o) != digest || w.table.Len() != 6 || w.at.Offset <= at.Offset || w.epoch <= epoch || !w.table.Exact() {
				t.Errorf("%d subjects with %s at %s in epoch %d, was %s at %s in epoch %d",
					w.table.Len(), digestOf(t, o), w.at, w.epoch, digest, at, epoch)
			}
			want := taken[3].ID
			if damage != "none" {
				want = taken[2].ID // edges must not be sent after what nobody has
			}
			if offered := w.snapshots.newest.Load().ID; offered != want || o.snapshots.Offered()["demo-a"] != want {
				t.Errorf("on offer: %s, want %s", offered, want)
			}
			pushN(t, o, 5)
			take(t, o)
			want = taken[3].ID
			if damage != "none" {
				want = taken[2].ID // a damaged one has no place beside it
			}
			if all := w.snapshots.store.List(); len(all) != 2 || all[1].ID != want {
				t.Errorf("kept beside the new one: %v", all)
			}
			pushN(t, o, 6)
			take(t, o)
			digest := digestOf(t, o)
			o.Close()
			if o = open(t, d, "demo-a"); digestOf(t, o) != digest {
				t.Error("another table after the next start")
			}
		})
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-40] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An origin that finds less than it acknowledged says what to restore, and does not start.
func TestAnOriginDoesNotStartWithLess(t *testing.T) {
	dir, early := t.TempDir(), t.TempDir()
	o := open(t, dir, "demo-a")
	pushN(t, o, 0)
	o.Close()
	copyAll(t, dir, early)
	o = open(t, dir, "demo-a")
	for i := range 3 {
		pushN(t, o, i)
		take(t, o)
	}
	o.Close()
	for name, c := range map[string]struct {
		damage func(dir string)
		want   string
	}{
		"an older log":          {func(d string) { copyAll(t, early+"/log", d+"/log") }, "the log ends before the place of its snapshot"},
		"no log":                {func(d string) { copyAll(t, t.TempDir(), d+"/log") }, "the log ends before the place of its snapshot"},
		"no snapshots":          {func(d string) { copyAll(t, t.TempDir(), d+"/snapshots") }, "the log was trimmed"},
		"two damaged snapshots": {func(d string) { flipAll(t, d, ".table") }, "the log was trimmed"},
		"two damaged manifests": {func(d string) { flipAll(t, d, ".manifest") }, "the log was trimmed"},
	} {
		t.Run(name, func(t *testing.T) {
			d := t.TempDir()
			copyAll(t, dir, d)
			c.damage(d)
			o, err := openErr(d, "demo-a")
			if err == nil {
				o.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), d+"/snapshots/demo-a") {
				t.Errorf("opened: %v", err)
			}
		})
	}
	d := t.TempDir() // with the whole log snapshots are no matter
	copyAll(t, early, d)
	o = open(t, d, "demo-a")
	take(t, o)
	o.Close()
	flipAll(t, d, ".table")
	if o, err := openErr(d, "demo-a"); err != nil || o.word("demo-a", "x0") != "red" {
		t.Errorf("from the whole log: %v", err)
	} else {
		o.Close()
	}
}

func flipAll(t *testing.T, dir, ext string) {
	t.Helper()
	err := filepath.WalkDir(dir+"/snapshots", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ext {
			flip(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Snapshots are written while pushes go on: whenever the origin then ends, its next start comes to the same table.
func TestSnapshotsBesidePushes(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	for round := range 3 {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 15 {
					pushN(t, o, round*1000+g*100+i)
				}
			})
		}
		for range 3 {
			take(t, o)
		}
		wg.Wait()
		want, n := digestOf(t, o), o.writers["demo-a"].table.Len()
		o.Close()
		o = open(t, dir, "demo-a")
		if w := o.writers["demo-a"]; w.table.Digest() != want || w.table.Len() != n || n != (round+1)*60+1 {
			t.Fatalf("round %d: %d subjects with %s, were %d with %s", round, w.table.Len(), w.table.Digest(), n, want)
		}
	}
}

func TestWhenASnapshotIsDue(t *testing.T) {
	defer func(n uint64) { snapshotWorth = n }(snapshotWorth)
	o := open(t, t.TempDir(), "demo-a")
	s := o.writers["demo-a"].snapshots
	expect := func(when string, want bool) {
		t.Helper()
		if due, err := s.due(t.Context()); due != want || err != nil {
			t.Errorf("%s: %v, %v", when, due, err)
		}
	}
	expect("nothing was written, and only growth counts", false)
	s.every = time.Hour
	expect("the origin began just now", false)
	s.began = time.Now().Add(-2 * time.Hour)
	expect("it began long ago", true)
	take(t, o)
	s.every = time.Nanosecond
	expect("nothing moved", false)
	pushN(t, o, 1)
	expect("it moved", true)
	s.every = time.Hour
	expect("it moved, but the last one is new", false)
	f := *s.newest.Load()
	old := f
	old.Time = time.Now().Add(-2 * time.Hour)
	s.newest.Store(&old)
	expect("the last one is old", true)
	old.Time = time.Now().Add(2 * time.Hour)
	expect("it is of a time to come", true)
	s.every = 0
	expect("only growth counts", false)
	small := f
	small.Parts.Parts = nil
	s.newest.Store(&small)
	snapshotWorth = 10
	expect("the log has grown", true)
	s.newest.Store(&f) // of 8 KB and more
	expect("the log has grown, but by less than the last one's size", false)
}

func TestBehind(t *testing.T) {
	for _, c := range []struct{ first, last, bytes, place, want uint64 }{
		{1, 0, 0, 0, 0}, {1, 100, 1000, 0, 1000}, {1, 100, 1000, 50, 500}, {1, 100, 1000, 100, 0}, {1, 100, 1000, 200, 0},
		{51, 100, 1000, 10, 1000}, {51, 100, 1000, 90, 200}, {1, 1 << 60, 1 << 63, 1 << 59, 1 << 62},
	} {
		if got := behind(c.first, c.last, c.bytes, c.place); got != c.want {
			t.Errorf("%v: %d", c, got)
		}
	}
}

// A snapshot that can't be written is counted; those before are offered and kept, and the log is not trimmed.
func TestASnapshotThatFails(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	s := o.writers["demo-a"].snapshots
	for i := range 2 {
		pushN(t, o, i)
		take(t, o)
	}
	newest, first, folder := s.newest.Load().ID, firstOf(t, o), s.store.Dir()
	pushN(t, o, 2)
	s.every = time.Nanosecond
	if err := os.Rename(folder, folder+"-away"); err != nil {
		t.Fatal(err)
	}
	s.look(t.Context())
	if s.failures.Get() != 1 || s.newest.Load().ID != newest || firstOf(t, o) != first {
		t.Errorf("%d failures, the newest is %s, the log begins at %d", s.failures.Get(), s.newest.Load().ID, firstOf(t, o))
	}
	if err := os.Rename(folder+"-away", folder); err != nil {
		t.Fatal(err)
	}
	s.look(t.Context())
	if s.failures.Get() != 1 || s.newest.Load().ID == newest || firstOf(t, o) == first {
		t.Errorf("later: %d failures, the newest is %s", s.failures.Get(), s.newest.Load().ID)
	}
	var out bytes.Buffer
	o.cfg.Metrics.WritePrometheus(&out)
	for _, want := range []string{
		`scanedge_snapshot_failures_total{issuer="demo-a"} 1`, `scanedge_snapshot_age_seconds{issuer="demo-a"} 0`, `scanedge_log_bytes{issuer="demo-a"} `,
		fmt.Sprintf(`scanedge_snapshot_offset{issuer="demo-a"} %d`, s.newest.Load().Began.Offset),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

// The goroutine in the background does what the tests do by hand, and does not hold up a stop.
func TestSnapshotsInTheBackground(t *testing.T) {
	defer func(d time.Duration) { snapshotLook = d }(snapshotLook)
	snapshotLook = time.Millisecond
	o, err := Open(t.Context(), Config{
		Dir: t.TempDir(), Issuers: []string{"demo-a", "demo-b"}, Logger: slog.New(slog.DiscardHandler),
		Metrics: metrics.NewSet(), SnapshotEvery: time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range o.sorted() {
		for w.snapshots.newest.Load() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	o.Close()
	for _, w := range o.sorted() {
		if len(w.snapshots.store.List()) == 0 {
			t.Errorf("%s has none", w.secret.ID)
		}
	}
}

// A log that is gone before the first snapshot was written is not taken for one that is to begin.
func TestALogThatIsGone(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	pushN(t, o, 1)
	o.Close()
	if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is no other answer the second time
		o, err := openErr(dir, "demo-a")
		if err == nil {
			o.Close()
		}
		if !errors.Is(err, errGone) || !strings.Contains(err.Error(), filepath.Join(dir, "snapshots", "demo-a")) {
			t.Fatalf("an origin without its log: %v", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "snapshots", "demo-a")); err != nil {
		t.Fatal(err)
	}
	o = open(t, dir, "demo-a")
	if n := o.writers["demo-a"].table.Len(); n != 0 {
		t.Errorf("%d subjects", n)
	}
}
