package cache

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// onProcessors runs a test on so many processors, which say how many sections of a file are in hand at once.
func onProcessors(t *testing.T, counts []int, test func(t *testing.T)) {
	for _, n := range counts {
		t.Run(fmt.Sprintf("processors=%d", n), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
			inForms(t, test)
		})
	}
}

const before = "what stands in the file before the snapshot"

// fileOf is a file that is about to be read from where b begins.
func fileOf(t *testing.T, b []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, append([]byte(before), b...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	rewind(t, f)
	return f
}

func rewind(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := f.Seek(int64(len(before)), io.SeekStart); err != nil {
		t.Fatal(err)
	}
}

// bucketsAt is where a section's buckets lie in a snapshot.
func bucketsAt(t *testing.T, b []byte, section int) (at, size int64) {
	t.Helper()
	s, err := InspectSnapshot(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	at = 3 * headSize
	for _, before := range s.Sections[:section] {
		at += before.Bytes() + headSize
	}
	return at, s.Sections[section].Bytes()
}

// A file is read to its end, by several sections at once, and what comes of it is the table.
func TestASnapshotsFileIsTheTable(t *testing.T) {
	onProcessors(t, []int{1, 2, 7}, aSnapshotsFileIsTheTable)
}

func aSnapshotsFileIsTheTable(t *testing.T) {
	for _, n := range []uint64{0, 1, 50_000} {
		want, b := snapshotOf(t, n)
		f := fileOf(t, b)
		replaced := filled(300)
		for name, read := range map[string]func() (*Table, int64, error){
			"ReadFrom": func() (*Table, int64, error) { got := new(Table); n, err := got.ReadFrom(f); return got, n, err },
			"Replace":  func() (*Table, int64, error) { n, err := replaced.Replace(f); return replaced, n, err },
		} {
			rewind(t, f)
			got, read, err := read()
			if err != nil || read != int64(len(b)) {
				t.Fatalf("%s: %d of %d bytes read: %v", name, read, len(b), err)
			}
			if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != int64(len(before)+len(b)) {
				t.Errorf("%s: the file is at %d: %v", name, at, err)
			}
			if got.Len() != want.Len() || got.Digests() != want.Digests() || got.Position() != at41 {
				t.Fatalf("%s: %d subjects with %v at %d", name, got.Len(), got.Digest(), got.Position())
			}
			if err := scrub(got); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if r, ok := got.Lookup(key(i, false)); !ok || r != Record(i) {
					t.Fatalf("%s: subject %d of %d: %v, %v", name, i, n, r, ok)
				}
			}
		}
	}
}

// Whatever is wrong with a file, it is refused with the very words that a stream of the same bytes is, and the table is as empty
// as it was.
func TestADamagedFileIsRefusedAsAStreamIs(t *testing.T) {
	onProcessors(t, []int{1, 2, 7}, aDamagedFileIsRefusedAsAStreamIs)
}

func aDamagedFileIsRefusedAsAStreamIs(t *testing.T) {
	want, b := snapshotOf(t, 20_000)
	damaged := map[string][]byte{"empty": nil, "a byte more": append(bytes.Clone(b), 0), "no end": b[:len(b)-headSize]}
	for _, section := range []int{0, 1, 64, Shards - 1} {
		at, size := bucketsAt(t, b, section)
		flip := func(what string, at int64) {
			bad := bytes.Clone(b)
			bad[at] ^= 4
			damaged[fmt.Sprintf("section %d: %s", section, what)] = bad
		}
		flip("its head", at-1)
		flip("its first byte", at)
		flip("its middle", at+size/2)
		flip("its last byte", at+size-1)
		damaged[fmt.Sprintf("section %d: cut", section)] = b[:at+size/2]
		damaged[fmt.Sprintf("section %d: cut before", section)] = b[:at]
	}
	for what, bad := range damaged {
		_, stream := new(Table).ReadFrom(bytes.NewReader(bad))
		f := fileOf(t, bad)
		var got Table
		_, err := got.ReadFrom(f)
		if err == nil || stream == nil || err.Error() != stream.Error() {
			t.Errorf("%s: from a file: %v; from a stream: %v", what, err, stream)
		}
		if got.Len() != 0 || got.Digest() != 0 || got.Stats().Bytes != 0 {
			t.Errorf("%s: %d subjects, %d bytes", what, got.Len(), got.Stats().Bytes)
		}
		rewind(t, f)
		if _, verified := VerifySnapshot(f); verified == nil || verified.Error() != stream.Error() {
			t.Errorf("%s: verified: %v; from a stream: %v", what, verified, stream)
		}
		if _, err := got.ReadFrom(fileOf(t, b)); err != nil || got.Digest() != want.Digest() || scrub(&got) != nil {
			t.Fatalf("%s: the same table can't be filled after that: %v", what, err)
		}
	}
}

// A file may be cut while it is read.
func TestAFileThatShrinksIsCutShort(t *testing.T) {
	onProcessors(t, []int{1, 2, 7}, aFileThatShrinksIsCutShort)
}

func aFileThatShrinksIsCutShort(t *testing.T) {
	_, b := snapshotOf(t, 20_000)
	at, size := bucketsAt(t, b, Shards-1)
	f := fileOf(t, b)
	var m memory
	_, _, err := readSnapshot(f, &m, few, func(Snapshot) error {
		return os.Truncate(f.Name(), int64(len(before))+at+size/2)
	}, func(_ Section, a *array) { m.release(a) })
	want := fmt.Sprintf("read snapshot: section %d: cut short: %d of %d bytes", Shards-1, size/2, size)
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// An end in the middle leaves what was taken before it, and nothing of what was under way: neither is it shown nor does it run on.
func TestReplaceFromADamagedFileTakesWhatComesBefore(t *testing.T) {
	onProcessors(t, []int{1, 2, 7}, replaceFromADamagedFileTakesWhatComesBefore)
}

func replaceFromADamagedFileTakesWhatComesBefore(t *testing.T) {
	const bad = 64
	want, b := snapshotOf(t, 20_000)
	at, size := bucketsAt(t, b, bad)
	b[at+size/3] ^= 1
	got := filled(30_000)
	old := got.Digests()
	running := runtime.NumGoroutine()
	_, err := got.Replace(fileOf(t, b))
	if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("read snapshot: section %d: ", bad)) {
		t.Errorf("the error is %v", err)
	}
	digests, wanted := got.Digests(), want.Digests()
	for i := range Shards {
		if from := map[bool]Digest{true: wanted[i], false: old[i]}[i < bad]; digests[i] != from {
			t.Fatalf("shard %d has digest %v, not %v", i, digests[i], from)
		}
	}
	if err := scrub(got); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > running; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", running, runtime.NumGoroutine())
		}
	}
}
