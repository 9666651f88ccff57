package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/cache"
)

func TestASnapshotComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir)
	want := table(10_000, 41)
	f := write(t, s, want, "keys")
	if f.Issuer != "demo-a" || f.Epoch != 7 || f.Began != place(41) || f.To != 41 || len(f.Parts.Parts) != cache.Shards+2 {
		t.Errorf("%+v", f.Snapshot)
	}
	for _, s := range []*Store{s, open(t, dir)} {
		all := s.List()
		if len(all) != 1 || !reflect.DeepEqual(all[0], f) || s.Refused() != nil {
			t.Fatalf("%v, %v", all, s.Refused())
		}
		load(t, s, f, want)
		if state, err := s.State(f); err != nil || string(state) != "keys" {
			t.Errorf("state %q, %v", state, err)
		}
		if err := s.Check(f); err != nil {
			t.Error(err)
		}
		used := table(500, 3)
		if err := s.Replace(f, used); err != nil {
			t.Fatal(err)
		}
		same(t, used, want)
	}
	if info, err := os.Stat(f.Table); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v of the folder, %v", info.Mode(), err)
	}
	without, err := s.Write(t.Context(), want, secret, 8, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.State(without); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no state: %v", err)
	}
}

func TestTheNewestComesFirst(t *testing.T) {
	s := open(t, t.TempDir())
	var want []string
	for _, at := range []int{9, 100, 10} {
		want = append(want, write(t, s, table(10, at), "").ID)
	}
	want = []string{want[1], want[2], want[0]}
	got := func() (ids []string) {
		for _, f := range s.List() {
			ids = append(ids, f.ID)
		}
		return ids
	}
	if !slices.Equal(got(), want) {
		t.Errorf("%v, want %v", got(), want)
	}
	if err := s.Remove(s.List()[0]); err != nil || !slices.Equal(got(), want[1:]) {
		t.Errorf("%v after the newest was removed, %v", got(), err)
	}
	if left := files(t, s.dir); len(left) != 6 {
		t.Errorf("left: %v", left)
	}
}

// The state is asked for when the table is written, and the writer goes on meanwhile: what state says holds for all that the
// table may have.
func TestStateComesAfterTheTable(t *testing.T) {
	s, want := open(t, t.TempDir()), table(100, 1)
	f, err := s.Write(t.Context(), want, secret, 1, func() []byte {
		fill(want, 100, 200, 2)
		return []byte{2}
	})
	if err != nil || f.To != 1 {
		t.Fatalf("%+v, %v", f.Snapshot, err)
	}
	load(t, s, f, table(100, 1))
}

func TestWhatACrashLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f := write(t, s, table(10, 1), "state")
	if err := s.Keep(t.Context(), table(10, 1)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.path(f.ID+partExt), nil)
	want := files(t, dir)
	base := "00000000000000000009-00112233445566778899aabbccddeeff"
	for _, left := range []string{".new-123", base + tableExt} {
		writeFile(t, s.path(left), []byte("x"))
		open(t, dir)
		if got := files(t, dir); !slices.Equal(got, want) {
			t.Errorf("%s: %v is left, not %v", left, got, want)
		}
	}
	writeFile(t, s.path(base+manifestExt), []byte("x"))
	writeFile(t, s.path(base+stateExt), []byte("x"))
	open(t, dir)
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("without a table: %v is left, not %v", got, want)
	}
}

// A damaged snapshot is passed over or refused when it is loaded, wherever the damage is; it never loads as another table.
func TestDamageIsFound(t *testing.T) {
	s, tbl := open(t, t.TempDir()), table(300, 5)
	f := write(t, s, tbl, "state")
	for _, ext := range []string{tableExt, manifestExt, stateExt} {
		path := s.path(f.name() + ext)
		whole := readFile(t, path)
		check := func(what string, i int, b []byte) {
			t.Helper()
			writeFile(t, path, b)
			found := len(s.List()) == 0 && s.Refused() != nil
			if ext == stateExt {
				_, err := s.State(f)
				found = err != nil
			} else if !found {
				var got cache.Table
				found = s.Load(f, &got) != nil && got.Len() == 0 && s.Check(f) != nil
			}
			if !found {
				t.Errorf("%s: %s %d was not found", ext, what, i)
			}
		}
		step := max(1, len(whole)/100) | 1
		for i := 0; i < len(whole); i += step {
			b := bytes.Clone(whole)
			b[i] ^= 1 << (i % 8)
			check("a flipped bit of byte", i, b)
			check("the length", i, whole[:i])
		}
		check("a byte behind", len(whole), append(bytes.Clone(whole), 0))
		writeFile(t, path, whole)
	}
	load(t, s, f, tbl)
}

func TestOthersSnapshotsAreRefused(t *testing.T) {
	s := open(t, t.TempDir())
	f := write(t, s, table(300, 5), "state")
	version := bytes.Clone(f.Manifest)
	version[3] = 99 // a later scanedge's alone
	for name, c := range map[string]struct {
		change func(dir string, o *Store)
		want   string
	}{
		"of another issuer": {func(_ string, o *Store) { o.pub.ID = "demo-b" }, "no manifest of demo-b"},
		"of another key":    {func(_ string, o *Store) { o.pub.Key = make([]byte, 32) }, "not the issuer's"},
		"of another seed":   {func(_ string, o *Store) { o.pub.Seed = cache.NewSeed() }, "seed"},
		"of a later version": {func(dir string, _ *Store) {
			writeFile(t, filepath.Join(dir, f.name()+manifestExt), version)
		}, "run the newer release"},
		"of another name": {func(dir string, _ *Store) {
			for _, ext := range []string{tableExt, manifestExt} {
				if err := os.Rename(filepath.Join(dir, f.name()+ext), filepath.Join(dir, "00000000000000000099-"+f.ID+ext)); err != nil {
					t.Fatal(err)
				}
			}
		}, "its manifest is that of"},
		"with another table": {func(dir string, o *Store) { // of the same size: the table was cut at another time
			b := write(t, o, table(300, 6), "")
			writeFile(t, filepath.Join(dir, f.name()+tableExt), readFile(t, b.Table))
			if err := o.Remove(b); err != nil {
				t.Fatal(err)
			}
		}, "its manifest says"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, s.dir)
			o := open(t, dir)
			c.change(dir, o)
			err := o.Refused()
			if all := o.List(); err == nil && len(all) == 1 {
				var got cache.Table
				if err = o.Load(all[0], &got); got.Len() != 0 {
					t.Error("it was loaded")
				}
				used := table(10, 1)
				if rerr := o.Replace(all[0], used); rerr == nil || used.Len() != 10 {
					t.Errorf("it replaced a table: %v", rerr)
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAWriteThatFailsLeavesAllAsItWas(t *testing.T) {
	s := open(t, t.TempDir())
	write(t, s, table(10, 1), "state")
	want := files(t, s.dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Write(ctx, table(10, 2), secret, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	large := table(600_000, 2)
	limitFiles(t, 6<<20) // as a full disk would
	if _, err := s.Write(t.Context(), large, secret, 1, nil); err == nil || !strings.Contains(err.Error(), s.dir) {
		t.Errorf("a full disk: %v", err)
	}
	if err := s.Keep(t.Context(), large); err == nil {
		t.Error("a full disk, and the table is kept")
	}
	if got := files(t, s.dir); !slices.Equal(got, want) {
		t.Errorf("%v is left, not %v", got, want)
	}
}

func TestOwnTable(t *testing.T) {
	s := open(t, t.TempDir())
	var got cache.Table
	if found, err := s.LoadOwn(&got); found || err != nil {
		t.Errorf("nothing: %v, %v", found, err)
	}
	for _, n := range []int{10, 3000, 20} {
		want := table(n, n)
		if err := s.Keep(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		var got cache.Table
		if found, err := s.LoadOwn(&got); !found || err != nil {
			t.Fatalf("%v, %v", found, err)
		}
		same(t, &got, want)
	}
	b := readFile(t, s.path(ownTable))
	b[len(b)/2] ^= 1
	writeFile(t, s.path(ownTable), b)
	if found, err := s.LoadOwn(&got); found || err == nil || got.Len() != 0 {
		t.Errorf("damaged: %v, %v", found, err)
	}
	other := open(t, s.dir)
	other.pub.Seed = cache.NewSeed()
	if err := s.Keep(t.Context(), table(10, 1)); err != nil {
		t.Fatal(err)
	}
	if found, err := other.LoadOwn(&got); found || err == nil || !strings.Contains(err.Error(), "seed") {
		t.Errorf("another seed: %v, %v", found, err)
	}
	if err := errors.Join(s.DropOwn(), s.DropOwn()); err != nil || len(files(t, s.dir)) != 0 {
		t.Errorf("dropped: %v, left %v", err, files(t, s.dir))
	}
}
