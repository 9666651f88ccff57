package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// key spreads i as a seed would, so that histories of few subjects meet in few shards when narrow is set.
func key(i uint64, narrow bool) Key {
	k := Seed{1, 2}.Key(fmt.Appendf(nil, "%d", i))
	if narrow {
		k.Hi = 0                   // one shard
		k.Lo = (k.Lo & 0xff) << 56 // few tags, 0 among them
	}
	return k
}

func record(rnd *rand.Rand) Record {
	r, err := NewRecord(Status(rnd.IntN(4)), uint8(rnd.IntN(64)), time.Time{})
	if err != nil {
		panic(err)
	}
	return r
}

// model is the oracle: Go's map and the digest by its definition.
type model map[Key]Record

func (m model) put(k Key, r Record) {
	if r == Removed {
		delete(m, k)
	} else {
		m[k] = r
	}
}

func (m model) check(t *testing.T, table *Table, ever map[Key]bool) {
	t.Helper()
	var digest Digest
	for k, r := range m {
		digest += entryDigest(k, r)
	}
	if table.Len() != len(m) || table.Digest() != digest {
		t.Fatalf("%d subjects with digest %s, want %d with %s", table.Len(), table.Digest(), len(m), digest)
	}
	for k := range ever {
		got, ok := table.Lookup(k)
		if want, in := m[k]; ok != in || in && got != want {
			t.Fatalf("%v: %v, %v; want %v, %v", k, got, ok, want, in)
		}
	}
}

func TestTableIsItsModel(t *testing.T) {
	for _, c := range []struct {
		steps, subjects int
		narrow          bool
	}{{100, 4, false}, {1000, 50, false}, {20_000, 250, true}, {100_000, 3000, false}, {100_000, 50_000, false}} {
		t.Run(fmt.Sprintf("steps=%d/subjects=%d/narrow=%v", c.steps, c.subjects, c.narrow), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(c.steps), 7))
			var table Table
			m, ever := model{}, map[Key]bool{}
			for i := range c.steps {
				k, r := key(rnd.Uint64N(uint64(c.subjects)), c.narrow), record(rnd)
				if rnd.IntN(3) == 0 {
					r = Removed
				}
				table.Put(k, r)
				m.put(k, r)
				ever[k] = true
				if i%(c.steps/10) == 0 {
					m.check(t, &table, ever)
				}
			}
			m.check(t, &table, ever)
		})
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, history []byte) {
		var table Table
		m, ever := model{}, map[Key]bool{}
		for i := 0; i+1 < len(history); i += 2 {
			k, r := key(uint64(history[i]), true), Record(history[i+1])<<24
			if history[i+1]&3 == 3 {
				r = Removed
			}
			table.Put(k, r)
			m.put(k, r)
			ever[k] = true
		}
		m.check(t, &table, ever)
	})
}

func TestDigestForgetsTheHistory(t *testing.T) {
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
}

const fresh Record = 1 << 24

// Readers check subjects that are never removed while the writer overwrites them, removes others and makes shards grow. Each
// subject's record only ever counts up, so a reader also sees a record that was missed or read from an outdated array.
func TestReadersNeverMissBesideTheWriter(t *testing.T) {
	const steady, rounds = 2000, 25
	var table Table
	var newest atomic.Uint64 // the subject that is being added
	newest.Store(steady)     // none yet: a subject that is never there
	for i := range uint64(steady) {
		table.Put(key(i, false), 1)
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for g := range uint64(3) {
		readers.Go(func() {
			seen := make([]Record, steady)
			rnd := rand.New(rand.NewPCG(g, 1))
			for !done.Load() {
				i := rnd.Uint64N(steady)
				r, ok := table.Lookup(key(i, false))
				if !ok || r < seen[i] || r > rounds {
					t.Errorf("subject %d: %d, %v after %d", i, r, ok, seen[i])
					return
				}
				seen[i] = r
				// One that is just being added is there whole or not at all.
				if r, ok := table.Lookup(key(newest.Load(), false)); ok && r != fresh {
					t.Errorf("a new subject shows record %d", r)
					return
				}
			}
		})
	}
	for round := Record(1); round <= rounds; round++ {
		for i := range uint64(steady) {
			table.Put(key(i, false), round)
			newest.Store(steady + uint64(round)*steady + i)
			table.Put(key(newest.Load(), false), fresh)
		}
		for i := range uint64(steady / 2) {
			table.Put(key(steady+uint64(round)*steady+i, false), Removed)
		}
	}
	done.Store(true)
	readers.Wait()
}

func TestLookupAllocatesNothing(t *testing.T) {
	var table Table
	seed, id := NewSeed(), []byte("d000000001")
	table.Put(seed.Key(id), 5)
	var ok bool
	if n := testing.AllocsPerRun(1000, func() { _, ok = table.Lookup(seed.Key(id)) }); n != 0 || !ok {
		t.Errorf("%v allocations, found %v", n, ok)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []uint64{100_000, 1_000_000} {
		var table Table
		for i := range n {
			table.Put(key(i, false), Record(i))
		}
		keys := make([]Key, 1<<16)
		for i := range keys {
			keys[i] = key(uint64(i)*7919%n, false)
		}
		b.Run(fmt.Sprintf("subjects=%d/stream", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := table.Lookup(keys[i&(1<<16-1)]); !ok {
					b.Fatal("missed")
				}
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	b.ReportAllocs()
	var table Table
	seed := Seed{1, 2}
	var id [8]byte
	for i := 0; b.Loop(); i++ {
		id[0], id[1], id[2], id[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		table.Put(seed.Key(id[:]), Record(i)&0xffffff)
	}
	b.ReportMetric(float64(table.Len())/b.Elapsed().Seconds(), "subjects/s")
}
