package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func TestDigestForgetsTheHistory(t *testing.T) {
	inForms(t, func(t *testing.T) {
		var a, b Table
		rnd := rand.New(rand.NewPCG(3, 4))
		for i := range uint64(5000) {
			a.Put(key(i, false), Record(i))
		}
		for i := range uint64(6000) {
			b.Put(key(5999-i, false), record(rnd))
		}
		for i := range uint64(6000) {
			if i < 5000 {
				b.Put(key(i, false), Record(i))
			} else {
				b.Put(key(i, false), Removed)
			}
		}
		if a.Digest() != b.Digest() || a.Len() != b.Len() {
			t.Errorf("equal content, digests %s and %s", a.Digest(), b.Digest())
		}
		b.Put(key(17, false), 18)
		if a.Digest() == b.Digest() {
			t.Error("one changed record does not show in the digest")
		}
	})
}

const fresh Record = 1 << 24

// Of an honest table that grows in all its shards while some subjects are overwritten and others removed, readers check those
// that stay. Each one's record only ever counts up, so a reader also sees a record that was read from an outdated array.
func TestReadersBesideGrowth(t *testing.T) { inForms(t, readersBesideGrowth) }

func readersBesideGrowth(t *testing.T) {
	const steady, rounds = 2000, 20
	subjects := gathered(steady*(rounds+2)+1, 8)
	var table Table
	var newest atomic.Uint64 // the subject that is being added
	newest.Store(steady)     // none yet: a subject that is never there
	for i := range uint64(steady) {
		table.Put(subjects[i], 1)
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for g := range uint64(3) {
		readers.Go(func() {
			seen := make([]Record, steady)
			rnd := rand.New(rand.NewPCG(g, 1))
			for !done.Load() {
				i := rnd.Uint64N(steady)
				r, ok := table.Lookup(subjects[i])
				if !ok || r < seen[i] || r > rounds {
					t.Errorf("subject %d: %d, %v after %d", i, r, ok, seen[i])
					return
				}
				seen[i] = r
				// One that is just being added is there whole or not at all.
				if r, ok := table.Lookup(subjects[newest.Load()]); ok && r != fresh {
					t.Errorf("a new subject shows record %d", r)
					return
				}
			}
		})
	}
	for round := Record(1); round <= rounds; round++ {
		for i := range uint64(steady) {
			table.Put(subjects[i], round)
			newest.Store(steady + uint64(round)*steady + i)
			table.Put(subjects[newest.Load()], fresh)
		}
		for i := range uint64(steady / 2) {
			table.Put(subjects[steady+uint64(round)*steady+i], Removed)
		}
	}
	done.Store(true)
	readers.Wait()
	audit(t, &table)
}

// What an edge does for every scan and for nearly every delta makes no work for the collector.
func TestNothingIsAllocated(t *testing.T) { inForms(t, nothingIsAllocated) }

func nothingIsAllocated(t *testing.T) {
	const n = 12_000
	subjects := gathered(2*n, 4)
	table := tableOf(subjects[:n])
	keys, recs := subjects[n-500:n+500], make([]Record, 1000)
	deltas := make([]Delta, 1000)
	for i := range deltas {
		deltas[i].Key = subjects[i]
	}
	moved := slices.IndexFunc(subjects[:n], func(k Key) bool { return table.Lines(k) == 2 })
	turn, seed, id := Record(0), NewSeed(), []byte("d000000001")
	for what, do := range map[string]func(){
		"a hit":              func() { table.Lookup(subjects[0]) },
		"a hit in two lines": func() { table.Lookup(subjects[moved]) },
		"a miss":             func() { table.Lookup(subjects[n]) },
		"a lookup by id":     func() { table.Lookup(seed.Key(id)) },
		"many lookups":       func() { table.LookupMany(keys, recs) },
		"a put":              func() { turn++; table.Put(subjects[0], turn) },
		"a put of the same":  func() { table.Put(subjects[0], turn) },
		"many puts": func() {
			turn++
			for i := range deltas {
				deltas[i].Record = turn
			}
			table.PutMany(deltas)
		},
		"len and digest": func() { _, _ = table.Len(), table.Digest() },
	} {
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// It says so before it writes, also where recs could be stretched.
func TestLookupManyRefusesFewRecords(t *testing.T) {
	keys := make([]Key, 4)
	for _, recs := range [][]Record{nil, make([]Record, 3), make([]Record, 3, 8)} {
		t.Run(fmt.Sprintf("%d of %d", len(recs), cap(recs)), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			new(Table).LookupMany(keys, recs)
		})
	}
}

// A miss reads hardly more than one line, and a hit not many more, also when the shards are as full as they come.
func TestLookupsReadOneLine(t *testing.T) {
	subjects := gathered(30_000, 4)
	for n := 1000; n <= 15_000; n += 1000 {
		table := tableOf(subjects[:n])
		hits, misses := 0, 0
		for i := range n {
			hits += table.Lines(subjects[i])
			misses += table.Lines(subjects[len(subjects)-1-i])
		}
		if hits, misses := float64(hits)/float64(n), float64(misses)/float64(n); hits > 1.35 || misses > 1.2 {
			t.Errorf("%d subjects: %.3f lines a hit, %.3f a miss", n, hits, misses)
		}
	}
}
