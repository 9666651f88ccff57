package snapshot

import (
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/issuer"
)

func TestMain(m *testing.M) {
	chunk, leaveAlone, waitFirst, waitMost = 1<<10, 30*time.Millisecond, time.Millisecond, 4*time.Millisecond
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.DiscardHandler)

var secret = &issuer.Secret{ID: "demo-a", Seed: cache.NewSeed(), Key: ed25519.NewKeyFromSeed(make([]byte, 32))}

// place is where batch n is in a chain whose hashes only a test believes.
func place(n int) cache.Position {
	return cache.Position{Offset: uint64(n), Hash: [32]byte{byte(n), byte(n >> 8), 1}}
}

// table returns a table of n subjects after batch at.
func table(n, at int) *cache.Table {
	var t cache.Table
	fill(&t, 0, n, at)
	return &t
}

func fill(t *cache.Table, from, to, at int) {
	t.Begin(place(at))
	for i := from; i < to; i++ {
		t.Put(secret.Seed.Key([]byte{byte(i), byte(i >> 8), byte(i >> 16), 'x'}), cache.Record(i))
	}
	t.End()
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, secret.Public())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t testing.TB, s *Store, table *cache.Table, state string) File {
	t.Helper()
	f, err := s.Write(t.Context(), table, secret, 7, func() []byte { return []byte(state) })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// load loads a snapshot and compares it with the table that it was made of.
func load(t testing.TB, s *Store, f File, want *cache.Table) {
	t.Helper()
	var got cache.Table
	if err := s.Load(f, &got); err != nil {
		t.Fatal(err)
	}
	same(t, &got, want)
}

func same(t testing.TB, got, want *cache.Table) {
	t.Helper()
	if got.Len() != want.Len() || got.Digest() != want.Digest() || got.Position() != want.Position() || !got.Exact() {
		t.Fatalf("%d subjects with %v at %s, want %d with %v at %s",
			got.Len(), got.Digest(), got.Position(), want.Len(), want.Digest(), want.Position())
	}
}

// files are the names in a folder.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// writeFile makes a new file, for some systems bring one to disk at once that is written over.
func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	_ = os.Remove(path)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range files(t, from) {
		writeFile(t, filepath.Join(to, name), readFile(t, filepath.Join(from, name)))
	}
	return to
}
