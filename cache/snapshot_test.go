package cache

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// snapshotOf returns a described table of n subjects and its snapshot.
func snapshotOf(t testing.TB, n uint64) (*Table, []byte) {
	table := filled(n)
	table.Describe("demo-a", Seed{1, 2}.ID())
	table.Begin(at41)
	table.End()
	var b bytes.Buffer
	if written, err := table.WriteTo(&b); err != nil || written != int64(b.Len()) {
		t.Fatalf("%d bytes written, %d said: %v", b.Len(), written, err)
	}
	return table, b.Bytes()
}

func sealed(h *head) *head {
	h.seal()
	return h
}

// place is where batch n is in a chain whose hashes only a test believes.
func place(n int) Position {
	return Position{Offset: uint64(n), Hash: [32]byte{byte(n), byte(n >> 8), 1}}
}

var at41 = place(41)

func TestSnapshotIsTheTable(t *testing.T) {
	for _, n := range []uint64{0, 1, 100, 300_000} {
		table, b := snapshotOf(t, n)
		var loaded Table
		if read, err := loaded.ReadFrom(bytes.NewReader(b)); err != nil || read != int64(len(b)) {
			t.Fatalf("%d of %d bytes read: %v", read, len(b), err)
		}
		if loaded.Len() != table.Len() || loaded.Digest() != table.Digest() || loaded.Position() != at41 {
			t.Fatalf("%d subjects with %v at %d", loaded.Len(), loaded.Digest(), loaded.Position())
		}
		for i := range n {
			if r, ok := loaded.Lookup(key(i, false)); !ok || r != Record(i) {
				t.Fatalf("subject %d of %d: %v, %v", i, n, r, ok)
			}
		}
		if err := scrub(&loaded); err != nil {
			t.Fatal(err)
		}
		for i := range n/10 + 10 { // it goes on as any table does
			loaded.Put(key(n+i, false), 7)
			loaded.Put(key(i, false), Removed)
			table.Put(key(n+i, false), 7)
			table.Put(key(i, false), Removed)
		}
		if err := scrub(&loaded); err != nil || loaded.Digest() != table.Digest() || loaded.Len() != table.Len() {
			t.Fatal(err)
		}
	}
}

func TestALoadedTableIsFull(t *testing.T) {
	_, b := snapshotOf(t, 1_000_000)
	var loaded Table
	if _, err := loaded.ReadFrom(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	s := loaded.Stats()
	if perSubject := float64(s.Bytes) / float64(s.Subjects); perSubject > 14.9 { // widths are whole numbers, so small tables are not as full as large ones
		t.Errorf("%.2f bytes a subject", perSubject)
	}
	before := s.Bytes
	for i := range uint64(5000) {
		loaded.Put(key(1_000_000+i, false), 7)
	}
	if after := loaded.Stats().Bytes; after > before*11/10 {
		t.Errorf("half a percent more subjects made it grow from %d to %d bytes", before, after)
	}
}

// Every single flipped bit of a snapshot is refused, and so is every cut and everything that follows its end.
func TestSnapshotRefusesEveryFlippedBitAndCut(t *testing.T) {
	_, b := snapshotOf(t, 0) // all heads
	for bit := range len(b) * 8 {
		refusesFlip(t, b, bit)
	}
	for n := range b {
		refuses(t, fmt.Sprint("a cut at ", n), b[:n])
	}
	table, b := snapshotOf(t, 1) // and a shard's buckets; one bit of every 128, to see that they are read at all
	for bit := 0; bit < len(b)*8; bit += 127 {
		refusesFlip(t, b, bit)
	}
	for n := 0; n < len(b); n += 61 {
		refuses(t, fmt.Sprint("a cut at ", n), b[:n])
	}
	refuses(t, "a byte more", append(b[:len(b):len(b)], 0))
	if _, err := VerifySnapshot(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	section, a := table.copySection(int(shardOf(key(0, false))), &Snapshot{})
	for bit := range len(a.bytes()) * 8 { // and all the bits of the buckets
		a.bytes()[bit/8] ^= 1 << (bit % 8)
		if section.check(a) == nil {
			t.Fatalf("bit %d of the buckets is not noticed", bit)
		}
		a.bytes()[bit/8] ^= 1 << (bit % 8)
	}
}

func refusesFlip(t *testing.T, b []byte, bit int) {
	t.Helper()
	b[bit/8] ^= 1 << (bit % 8)
	refuses(t, fmt.Sprint("bit ", bit), b)
	b[bit/8] ^= 1 << (bit % 8)
}

func refuses(t *testing.T, what string, b []byte) {
	t.Helper()
	_, err := VerifySnapshot(bytes.NewReader(b))
	if err == nil {
		t.Fatalf("%s is not noticed", what)
	}
	if placeOf(err) == "" {
		t.Fatalf("%s: %v names no place", what, err)
	}
}

func placeOf(err error) string {
	for _, place := range []string{"header: ", "section ", "end: "} {
		if strings.HasPrefix(err.Error(), "read snapshot: "+place) {
			return place
		}
	}
	return ""
}

func TestARefusedSnapshotLeavesTheTableEmpty(t *testing.T) {
	table, b := snapshotOf(t, 100_000)
	bad := bytes.Clone(b)
	bad[len(bad)-1] ^= 1
	var loaded Table
	if _, err := loaded.ReadFrom(bytes.NewReader(bad)); err == nil || loaded.Len() != 0 || loaded.Stats().Bytes != 0 {
		t.Fatalf("%v, %d subjects, %d bytes", err, loaded.Len(), loaded.Stats().Bytes)
	}
	if _, err := loaded.ReadFrom(bytes.NewReader(b)); err != nil || loaded.Digest() != table.Digest() {
		t.Fatal(err)
	}
	if _, err := loaded.ReadFrom(bytes.NewReader(b)); err == nil {
		t.Error("a full table takes another snapshot")
	}
	var other Table
	other.Describe("demo-b", Seed{1, 2}.ID())
	if _, err := other.ReadFrom(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "demo-a") {
		t.Errorf("another issuer's snapshot: %v", err)
	}
}

// The golden file is a snapshot of version 1 of three subjects, compressed; a release must go on reading it.
func TestSnapshotGolden(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "snapshot-v1"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(golden))
	if err != nil {
		t.Fatal(err)
	}
	var table Table
	if _, err := table.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		if r, ok := table.Lookup(key(i, false)); !ok || r != Record(i) {
			t.Errorf("subject %d: %v, %v", i, r, ok)
		}
	}
	if table.Len() != 3 || table.Position() != at41 || !table.Exact() {
		t.Errorf("%d subjects at %s", table.Len(), table.Position())
	}
}

// A table in use takes another's content, shard by shard: readers find what both hold all the time, and in the end the new alone.
func TestReplaceIsTheSnapshotInTheEnd(t *testing.T) {
	want, b := snapshotOf(t, 200_000)
	table := filled(300_000)
	table.Describe("demo-a", Seed{1, 2}.ID())
	before := table.Digest()
	if _, err := new(Table).Replace(bytes.NewReader(b[:len(b)/2])); err == nil {
		t.Error("half a snapshot passes")
	}
	var other Table
	other.Describe("demo-b", Seed{1, 2}.ID())
	if _, err := other.Replace(bytes.NewReader(b)); err == nil || other.Len() != 0 {
		t.Errorf("another issuer's snapshot: %v", err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := uint64(0); ; i = (i + 1) % 200_000 {
				if _, ok := table.Lookup(key(i, false)); !ok {
					t.Errorf("subject %d, which both hold, is missed", i)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	n, err := table.Replace(bytes.NewReader(b))
	close(done)
	readers.Wait()
	if err != nil || n != int64(len(b)) || table.Digest() == before || table.Digest() != want.Digest() || table.Len() != want.Len() || table.Position() != at41 {
		t.Fatalf("%d bytes, %d subjects with %v at %s: %v", n, table.Len(), table.Digest(), table.Position(), err)
	}
	if err := scrub(table); err != nil {
		t.Fatal(err)
	}
	sum := Digest(0)
	for _, d := range table.Digests() {
		sum += d
	}
	if sum != table.Digest() {
		t.Errorf("the shards' digests add up to %v, not %v", sum, table.Digest())
	}
	if _, ok := table.Lookup(key(250_000, false)); ok {
		t.Error("what only the old content had is there")
	}
}

// A snapshot that is forged, with checksums that are right, is refused where a lookup would not find an entry, or count and digest
// are not those of the entries.
func TestSnapshotRefusesWhatAChecksumCannotSee(t *testing.T) {
	for name, forge := range map[string]func(a *array, s *Section){
		"a misplaced entry": func(a *array, _ *Section) {
			a.buckets[0].plain().tags[0], a.buckets[0].plain().head = 1<<63, 0
		},
		"a filter bit too few": func(a *array, s *Section) {
			at := address{0, 1}
			n := a.second(at)
			b := a.buckets[n].plain()
			b.tags[4], b.recs[4], b.head = 1, 5, b.head|1<<4
			s.Subjects++
			s.Digest += entryDigest(uint64(s.Shard), at, 5)
		},
		"another record":  func(a *array, _ *Section) { flipARecord(a) },
		"another count":   func(_ *array, s *Section) { s.Subjects++ },
		"another digest":  func(_ *array, s *Section) { s.Digest++ },
		"another's shard": func(_ *array, s *Section) { s.Shard++ },
	} {
		table := filled(200_000)
		table.Describe("demo-a", SeedID{})
		section, a := table.copySection(9, &Snapshot{})
		if err := section.check(a); err != nil {
			t.Fatal(err)
		}
		forge(a, &section)
		section.Checksum = 0
		if err := section.checkEntries(a); err == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func flipARecord(a *array) {
	for n := range a.buckets {
		b := a.buckets[n].plain()
		for j, tag := range b.tags {
			if tag != 0 {
				b.recs[j] ^= 1
				return
			}
		}
	}
}

// A head may claim anything; memory is taken for what is there.
func TestSnapshotTakesNoMemoryForClaims(t *testing.T) {
	_, b := snapshotOf(t, 0)
	section := Section{Width: maxWidth, Subjects: 1}
	copy(b[2*headSize:], sealed(section.head())[:])
	for name, read := range map[string]func([]byte) error{
		"ReadFrom": func(b []byte) error { _, err := new(Table).ReadFrom(bytes.NewReader(b)); return err },
		"Verify":   func(b []byte) error { _, err := VerifySnapshot(bytes.NewReader(b)); return err },
	} {
		if err := read(b); err == nil || !strings.Contains(err.Error(), "section 0: cut short") {
			t.Errorf("%s: %v", name, err)
		}
	}
	section.Width++
	copy(b[2*headSize:], sealed(section.head())[:])
	if _, err := VerifySnapshot(struct{ io.Reader }{bytes.NewReader(b)}); err == nil || !strings.Contains(err.Error(), "section 0: width") {
		t.Error(err)
	}
}

func TestInspectSnapshotReadsHeadsAlone(t *testing.T) {
	table, b := snapshotOf(t, 50_000)
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, r := range map[string]io.Reader{"file": f, "stream": struct{ io.Reader }{bytes.NewReader(b)}} {
		s, err := InspectSnapshot(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.Issuer != "demo-a" || s.Seed != (Seed{1, 2}).ID() || s.Subjects != 50_000 || s.Digest != table.Digest() ||
			s.Began != at41 || s.To != 41 || len(s.Sections) != Shards {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if err := os.Truncate(path, int64(len(b)-100)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := InspectSnapshot(f); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a cut file: %v", err)
	}
}

func TestSnapshotSaysThatItCouldNotBeWritten(t *testing.T) {
	var table Table
	if _, err := table.WriteTo(io.Discard); err == nil || !strings.Contains(err.Error(), "described") {
		t.Errorf("not described: %v", err)
	}
	full := errors.New("disk full")
	table.Describe("demo-a", SeedID{})
	table.Put(key(1, false), 1)
	for after := range 131 {
		if _, err := table.WriteTo(&failing{after: after, err: full}); !errors.Is(err, full) {
			t.Fatalf("write %d failed: %v", after, err)
		}
	}
}

type failing struct {
	after int
	err   error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.after == 0 {
		return 0, f.err
	}
	f.after--
	return len(p), nil
}

// A snapshot that was written while batches were put is the table once the batches from Began to To are put again, in order:
// whatever they do to the records, and however entries moved and shards grew meanwhile.
func TestSnapshotBesideTheWriterIsExactAfterReplay(t *testing.T) {
	for round := range uint64(20) {
		rnd := rand.New(rand.NewPCG(round, 3))
		table := filled(40_000)
		table.Describe("demo-a", SeedID{})
		var batches [][]Delta
		var done atomic.Bool
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			for !done.Load() && len(batches) < 3000 {
				batch := make([]Delta, 1+rnd.IntN(300))
				for i := range batch {
					batch[i] = Delta{key(rnd.Uint64N(60_000), false), record(rnd)}
					if rnd.IntN(3) == 0 {
						batch[i].Record = Removed
					}
				}
				batches = append(batches, batch)
				table.Begin(place(len(batches)))
				for _, d := range batch { // slowly: most sections are copied in the middle of a batch
					table.Put(d.Key, d.Record)
					runtime.Gosched()
				}
				table.End()
			}
		}()
		for table.Position().Offset < 5 {
			runtime.Gosched()
		}
		var file bytes.Buffer
		_, err := table.WriteTo(&file)
		done.Store(true)
		<-finished
		if err != nil {
			t.Fatal(err)
		}
		s, err := InspectSnapshot(bytes.NewReader(file.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		replays(t, file.Bytes(), s, batches)
	}
}

// replays checks a snapshot against the table that the batches alone make, as they stood at s.To.
func replays(t *testing.T, file []byte, s Snapshot, batches [][]Delta) {
	t.Helper()
	want := filled(40_000)
	for _, batch := range batches[:s.To] {
		want.PutMany(batch)
	}
	var got Table
	if _, err := got.ReadFrom(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	if got.Position() != s.Began || s.Began != place(int(s.Began.Offset)) {
		t.Fatalf("%s, want %s", got.Position(), s.Began)
	}
	for i, batch := range batches[s.Began.Offset:s.To] {
		if got.Exact() {
			t.Fatalf("exact after %d, not only after %d", s.Began.Offset+uint64(i), s.To)
		}
		got.Begin(place(int(s.Began.Offset) + i + 1))
		got.PutMany(batch)
		got.End()
	}
	if !got.Exact() {
		t.Fatalf("not exact after %d", s.To)
	}
	if got.Digest() != want.Digest() || got.Len() != want.Len() {
		t.Fatalf("from %d to %d of %d: %d subjects, want %d", s.Began.Offset, s.To, len(batches), got.Len(), want.Len())
	}
}

// Whatever a file says, it is refused or it is a table. Each edit is a place (two bytes: of the heads, mostly) and what is done to
// the byte there; the heads that the edits hit get checksums that are right, so that what they claim is believed so far.
func FuzzSnapshot(f *testing.F) {
	_, empty := snapshotOf(f, 0)
	_, one := snapshotOf(f, 1)
	f.Add([]byte{0, 8, 1, 0, 68, 1, 0, 69, 200}, uint16(0), false)
	f.Add([]byte{0, 64, 3, 0, 72, 1}, uint16(9), true)
	f.Fuzz(func(t *testing.T, edits []byte, cut uint16, some bool) {
		b := bytes.Clone(empty)
		if some {
			b = bytes.Clone(one)
		}
		for ; len(edits) >= 3; edits = edits[3:] {
			at := int(binary.BigEndian.Uint16(edits)) % len(b)
			b[at] ^= edits[2]
			h := b[at-at%headSize:][:headSize]
			if magic := string(h[:8]); magic == headerMagic || magic == placeMagic || magic == sectionMagic || magic == endMagic {
				(*head)(h).seal()
			}
		}
		b = b[:len(b)-int(cut)%len(b)]
		s, err := VerifySnapshot(bytes.NewReader(b))
		if _, inspected := InspectSnapshot(bytes.NewReader(b)); err == nil && inspected != nil {
			t.Fatalf("whole, but: %v", inspected)
		}
		var table Table
		if _, read := table.ReadFrom(bytes.NewReader(b)); (read == nil) != (err == nil) {
			t.Fatalf("%v, but: %v", err, read)
		}
		if err == nil && uint64(table.Len()) != s.Subjects {
			t.Fatalf("%d subjects of %d", table.Len(), s.Subjects)
		}
	})
}

func BenchmarkReadFrom(b *testing.B) {
	_, snapshot := snapshotOf(b, 2_000_000)
	b.SetBytes(int64(len(snapshot)))
	for b.Loop() {
		if _, err := new(Table).ReadFrom(bytes.NewReader(snapshot)); err != nil {
			b.Fatal(err)
		}
	}
}
