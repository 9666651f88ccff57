package table

import (
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/scanedge/scanedge/cache"
)

const someSubjects = 3000

func someTable() *cache.Table {
	t := new(cache.Table)
	for i := range uint64(someSubjects) {
		t.Put(keyOf(i), recordOf(i, 0))
	}
	return t
}

// TestLoopsCheckWhatTheyRead: a table that lost or made up entries is found by every loop that could meet them.
func TestLoopsCheckWhatTheyRead(t *testing.T) {
	const ops = 4 * loopUnit
	for name, c := range map[string]struct {
		change func(*cache.Table)
		wrong  map[string]bool
	}{
		"whole": {func(*cache.Table) {}, nil},
		"lost": {func(t *cache.Table) {
			for i := range uint64(someSubjects / 2) {
				t.Put(keyOf(i), cache.Removed)
			}
		}, map[string]bool{loopStream: true, loopChain: true, loopBatch: true}},
		"made up": {func(t *cache.Table) {
			for i := range uint64(someSubjects / 2) {
				t.Put(keyOf(i+absent), recordOf(i, 0))
			}
		}, map[string]bool{loopMiss: true}},
	} {
		table := someTable()
		c.change(table)
		l := &lookups{table: table, subjects: someSubjects}
		for loopName, run := range map[string]loop{loopStream: l.stream, loopChain: l.chain, loopBatch: l.batch, loopMiss: l.miss, loopKeys: l.empty} {
			_, wrong := run(0, ops)
			if wrong > 0 != c.wrong[loopName] || c.wrong[loopName] && (wrong < ops/3 || wrong > ops*2/3) {
				t.Errorf("%s, %s: %d of %d answers are called wrong", name, loopName, wrong, ops)
			}
			_, err := (&contender{name: loopName, run: run, ops: ops}).once()
			if (err != nil) != c.wrong[loopName] {
				t.Errorf("%s, %s: %v", name, loopName, err)
			}
		}
	}
}

// TestLoopsReadTheSame: stream and batch draw the same subjects.
func TestLoopsReadTheSame(t *testing.T) {
	l := &lookups{table: someTable(), subjects: someSubjects}
	a, _ := l.stream(17, 8*loopUnit)
	b, _ := l.batch(17, 8*loopUnit)
	if a != b || a == 0 {
		t.Errorf("stream sums up to %d, batch to %d", a, b)
	}
}

func TestRivalsHoldWhatTheTableHolds(t *testing.T) {
	l := &lookups{table: someTable(), subjects: someSubjects}
	want, _ := l.stream(5, 8*loopUnit)
	for name, rv := range rivals {
		told := 0
		run := rv.fill(someSubjects, func(uint64) { told++ })
		if sum, wrong := run(5, 8*loopUnit); wrong > 0 || sum != want || name != rv.name || told < 20 {
			t.Errorf("%s: sum %d, want %d; %d answers wrong; told %d times how far it is", rv.name, sum, want, wrong, told)
		}
	}
}

// TestLinesAreReadEvenly: every line is read, none much more often than others.
func TestLinesAreReadEvenly(t *testing.T) {
	const shards, each, reads = 8, 64, 200
	l := make(lines, shards)
	for i := range l {
		l[i] = make([]uint64, each*lineWords)
		for j := range l[i] {
			l[i][j] = 1 << 60 // only first words may be read
			if j%lineWords == 0 {
				l[i][j] = uint64(i*each + j/lineWords)
			}
		}
	}
	seen := map[uint64]int{}
	for i := range uint64(shards * each * reads) {
		seen[l.read(mix(i))]++
	}
	if len(seen) != shards*each {
		t.Errorf("%d lines were read, of %d", len(seen), shards*each)
	}
	for at, n := range seen {
		if n < reads/2 || n > reads*2 {
			t.Errorf("line %d was read %d times, of %d on average", at, n, reads)
		}
	}
}

func TestLinesAreTheTables(t *testing.T) {
	l := linesOf(someTable())
	if len(l) == 0 {
		t.Fatal("no lines")
	}
	a, _ := l.independent(0, loopUnit)
	b, _ := l.chase(0, loopUnit)
	if a == 0 || b == 0 {
		t.Errorf("sums are %d and %d", a, b)
	}
	if l := linesOf(new(cache.Table)); len(l) != 0 {
		t.Errorf("an empty table has lines in %d shards", len(l))
	}
}

func TestKeysAreDistinct(t *testing.T) {
	seen := map[uint64]bool{}
	for i := range uint64(100_000) {
		seen[keyOf(i).Lo], seen[keyOf(i+absent).Lo] = true, true
		if recordOf(i, i) == cache.Removed {
			t.Fatalf("record %d is a removal", i)
		}
	}
	if len(seen) != 200_000 {
		t.Errorf("%d low halves of 200,000 keys", len(seen))
	}
}

func TestDeltasChangeRecordsAlone(t *testing.T) {
	table := someTable()
	d := &deltas{table: table, subjects: someSubjects}
	before := table.Digest()
	d.many(0, 2*putMany)
	after := table.Digest()
	d.single(0, putMany)
	if table.Len() != someSubjects || before == after || after == table.Digest() {
		t.Errorf("%d subjects, digests %v, %v, %v", table.Len(), before, after, table.Digest())
	}
}

// TestReaderDropsNoSample: samples add up to all the time that there was, and lookups that fail are counted.
func TestReaderDropsNoSample(t *testing.T) {
	r := newReader(someSubjects)
	r.table = someTable()
	h := hdrhistogram.New(1, int64(1e11), 3)
	const d = 20_000_000 // nanoseconds
	r.time(r.table, h, d)
	sum := 0.0
	for _, bar := range h.Distribution() {
		sum += float64(bar.Count) * float64(bar.From+bar.To) / 2
	}
	if sum < d*0.99 {
		t.Errorf("samples add up to %.0f ns, of at least %d", sum, d)
	}
	if r.missed != 0 {
		t.Errorf("%d lookups missed", r.missed)
	}
	r.present.Store(2 * someSubjects)
	if r.time(r.table, h, d); r.missed == 0 {
		t.Error("lookups of what was never put were not counted as missed")
	}
}
