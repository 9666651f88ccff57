package cache

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	stressFor = flag.Duration("stress", 25*time.Second, "how long readers are put under stress, in each form of memory")
	testSeed  = flag.Uint64("seed", 1, "what random tests follow from")
)

// shape is a table in which entries move and arrays are replaced at a rate that no honest table sees.
type shape struct {
	name  string
	build func(*stage)
	turn  func(*testing.T, *stage) // some puts
	mends bool                     // arrays are replaced again and again
}

var shapes = []shape{
	{"shuttle", buildShuttle, turnShuttle, false},
	{"mended", buildShuttle, turnMended, true},
	{"moves", func(s *stage) { s.crowd(3, 10, 36, 0) }, turnAny, false},
	{"resizes", func(s *stage) { s.crowd(1, 4, 20, 0, 1, 2, 5) }, turnAny, true},
	{"worn", func(s *stage) { s.crowd(8, 100, 1500, 0) }, turnAny, true},
	{"waves", func(s *stage) { s.crowd(8, 100, 1100, 0, 1) }, turnWave, true},
}

// A present subject is found at every instant, with a record that was its own then, whatever the writer moves, replaces and
// gives back meanwhile. Each protection that the readers and the writer's order of stores give was taken away once: then
// this fails within seconds.
func TestReadersUnderStress(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // more than there are cores: the system too stops threads anywhere
	inForms(t, func(t *testing.T) {
		for _, c := range shapes {
			t.Run(c.name, func(t *testing.T) { c.run(t, *stressFor/time.Duration(len(shapes))) })
		}
	})
}

func (c shape) run(t *testing.T, d time.Duration) {
	s := &stage{rnd: rand.New(rand.NewPCG(*testSeed, 0))}
	c.build(s)
	if len(s.witnesses) > maxWitnesses {
		t.Fatal("too many witnesses")
	}
	var end atomic.Bool
	defer time.AfterFunc(d, func() { end.Store(true) }).Stop()
	var all sync.WaitGroup
	loop := func(step func() bool) {
		all.Go(func() {
			for !end.Load() {
				if !step() {
					end.Store(true)
				}
			}
		})
	}
	for g := range uint64(2) {
		r := newReader(s, *testSeed+g)
		loop(func() bool { return r.lookups(t, 64) })
	}
	r := newReader(s, *testSeed+9)
	loop(func() bool { return r.lookupMany(t) })
	shard := 0
	loop(func() bool { shard++; return s.walk(t, shard) })
	arrays := 0
	loop(func() bool {
		before := s.table.arrays[0].Load()
		c.turn(t, s)
		if s.table.arrays[0].Load() != before {
			arrays++
		}
		return !t.Failed()
	})
	all.Wait()
	if s.lastly(t); c.mends && arrays == 0 {
		t.Error("no array was replaced")
	}
}

// walk holds the table's lock for a moment, as who scrubs or copies it does. And it stops the world: that ends the turn of
// every goroutine right where it is, in the middle of a lookup or of a move, and the next turn may be another's.
func (s *stage) walk(t *testing.T, n int) bool {
	var m runtime.MemStats
	for range 64 {
		runtime.ReadMemStats(&m)
		time.Sleep(20 * time.Microsecond)
	}
	if n%16 == 0 {
		if st := s.table.Stats(); st.Subjects < s.steady || st.Subjects > len(s.witnesses) {
			t.Errorf("%d subjects, %d of them steady: %+v", len(s.witnesses), s.steady, st)
		}
	}
	err := s.table.Scrub(n % Shards)
	if n := s.table.Len(); err != nil || n < s.steady || n > len(s.witnesses) {
		t.Errorf("%d of %d to %d subjects: %v", n, s.steady, len(s.witnesses), err)
	}
	return !t.Failed()
}

// crowd enters subjects that share few buckets, for their partitions and the hashes of their tags differ in a few bits only:
// none is ever moved outside. Some have another's tag, and each differs from one of every other shard in the shard alone: so
// that one is found in its place by who reads an array whose memory went to that shard. The others are removed every third time.
func (s *stage) crowd(bits, steady, others int, shards ...uint64) {
	keys := crowd(s.rnd, 0, bits, steady+others)
	for _, shard := range shards {
		s.enter(0, inShard(shard, keys[:steady])...)
	}
	for _, shard := range shards {
		s.enter(3, inShard(shard, keys[steady:])...)
	}
}

func inShard(shard uint64, keys []Key) (moved []Key) {
	for _, k := range keys {
		moved = append(moved, keyAt(shard, addressOf(k).partition, k.Lo))
	}
	return moved
}

// crowd is n keys of a shard, each fourth of them with the tag of the one before.
func crowd(rnd *rand.Rand, shard uint64, bits, n int) (keys []Key) {
	for len(keys) < n {
		tag := rnd.Uint64()
		if mix(tag)&(partitions-1)>>bits != 0 {
			continue
		}
		partition := rnd.Uint64N(1 << bits)
		keys = append(keys, keyAt(shard, partition, tag))
		if len(keys)%4 == 3 && otherPartition(partition, tag) != partition {
			keys = append(keys, keyAt(shard, otherPartition(partition, tag), tag))
		}
	}
	return keys[:n]
}

func turnAny(_ *testing.T, s *stage) {
	for range 16 {
		for range 4 {
			s.put(s.steady + s.rnd.IntN(len(s.witnesses)-s.steady))
		}
		i := s.rnd.IntN(len(s.witnesses))
		s.put(i, s.rnd.IntN(s.steady), i)
	}
}

// turnWave lets all others come or go before the next turn.
func turnWave(_ *testing.T, s *stage) {
	for _, i := range s.rnd.Perm(len(s.witnesses) - s.steady) {
		s.put(s.steady + i)
		if i&7 == 0 {
			s.put(s.rnd.IntN(s.steady))
		}
	}
}

// Shuttles are trios of partitions of one bucket each, a, b and c, all full but for one slot. A traveller from c goes home when
// a guest is put between a and b, and away to a when one is put between c and b, a hundred nanoseconds later. While it is
// away, a third guest lies in its place at times, who has its tag, but comes from a.
const (
	shuttles   = 4
	passengers = 14 // steady ones of a shuttle; the last is its traveller
	guests     = 3
)

func buildShuttle(s *stage) {
	for n := range uint64(shuttles) {
		a, b, c := 3*n, 3*n+1, 3*n+2
		for range 4 {
			s.enter(0, s.between(a, b), s.between(b, a), s.between(c, b))
		}
		s.enter(0, s.between(b, a), s.between(c, a))
	}
	for n := range uint64(shuttles) {
		a, b, c := 3*n, 3*n+1, 3*n+2
		s.enter(2, s.between(a, b), s.between(c, b), keyAt(0, a, s.traveller(n).key.Lo))
	}
}

func (s *stage) traveller(shuttle uint64) *witness { return s.witnesses[passengers*(shuttle+1)-1] }

// between is a key whose first bucket is in one partition and whose second is in another.
func (s *stage) between(first, second uint64) Key {
	for {
		if tag := s.rnd.Uint64(); otherPartition(first, tag) == second {
			return keyAt(0, first, tag)
		}
	}
}

func turnShuttle(t *testing.T, s *stage) {
	for range 16 {
		n := s.rnd.IntN(shuttles)
		guest, traveller := s.steady+guests*n, s.traveller(uint64(n))
		for lines := 1; lines <= 2; lines++ { // home, away
			s.put(guest)
			if got := s.table.Lines(traveller.key); got != lines {
				t.Errorf("a lookup of the traveller takes %d lines, want %d", got, lines)
			}
			s.put(guest)
			guest++
		}
		if n == 0 {
			s.put(guest)
			s.put(guest)
		}
	}
	s.put(s.rnd.IntN(s.steady))
}

// turnMended begins with filters without a bit.
func turnMended(t *testing.T, s *stage) {
	s.table.replace(0, 0)
	turnShuttle(t, s)
}
