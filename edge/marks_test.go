package edge

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A mark is found for as long as its code may live, also across the time's turn, and its age is exact.
func TestMarksAgainstAModel(t *testing.T) {
	const longest = 41 * 30_000 // ms that a code lives
	m, first, rng := newMarks(1<<20), map[uint64]int64{}, rand.New(rand.NewPCG(1, 2))
	names := make([]uint64, 2000)
	for i := range names {
		names[i] = rng.Uint64()
	}
	now := int64(markTime - 100_000)
	for range 200_000 {
		now += rng.Int64N(200)
		i := rng.IntN(len(names))
		if at, ok := first[names[i]]; ok && now-at > longest {
			names[i] = rng.Uint64()
		}
		at, known := first[names[i]]
		ago, seen := m.mark(names[i], now)
		if seen != known || seen && ago != now-at {
			t.Fatalf("%x at %d: %d ms ago, %v; first at %d, %v", names[i], now, ago, seen, at, known)
		}
		if !known {
			first[names[i]] = now
		}
	}
	if s := m.Stats(); now < 3*markTime || s.Hits+s.Misses != 200_000 || s.Misses != uint64(len(first)) || s.Entries+s.Evicted != s.Misses {
		t.Errorf("at %d: %+v of %d codes", now, s, len(first))
	}
}

// A full line forgets its oldest mark, and a clock that goes back a little is no reason to forget one, nor is a name of zeros.
func TestMarksOfOneLine(t *testing.T) {
	m := newMarks(1)
	name := func(i int) uint64 { return uint64(i) << 32 }
	for i := range 9 {
		if _, seen := m.mark(name(i), int64(1000+i)); seen {
			t.Fatal("the marks of two codes are one")
		}
	}
	for i := 1; i < 9; i++ {
		if ago, seen := m.mark(name(i), 990); !seen || ago != 0 {
			t.Errorf("%d, before its time: %d, %v", i, ago, seen)
		}
		if ago, seen := m.mark(name(i), 2000); !seen || ago != int64(1000-i) {
			t.Errorf("%d: %d, %v", i, ago, seen)
		}
	}
	if s := m.Stats(); s.Entries != 8 || s.Evicted != 1 || s.Bytes != 512 || s.MaxBytes != fewestLines*64 {
		t.Errorf("%+v", s)
	}
	if _, seen := m.mark(name(0), 3000); seen {
		t.Error("nothing gave way to the ninth")
	}
}

// Of those who show a code at once one is the first, and is so once.
func TestMarksAtOnce(t *testing.T) {
	const rounds, scanners = 2000, 4
	m := newMarks(1)
	firsts := make([]atomic.Int32, rounds)
	var all sync.WaitGroup
	for range scanners {
		all.Go(func() {
			for i := range firsts {
				// Two codes to a line, so that places are contended for too.
				if _, seen := m.mark(uint64(i)<<32|uint64(i/2%fewestLines), time.Hour.Milliseconds()); !seen {
					firsts[i].Add(1)
				}
			}
		})
	}
	all.Wait()
	for i := range firsts {
		if n := firsts[i].Load(); n != 1 {
			t.Fatalf("code %d was shown first %d times", i, n)
		}
	}
}

func TestMarksAllocateNothing(t *testing.T) {
	m, i := newMarks(1<<20), uint64(0)
	if n := testing.AllocsPerRun(1000, func() { i += 0x9e3779b97f4a7c15; m.mark(i, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
