package cache

import (
	"math/bits"
	"sync/atomic"
)

const (
	shardBits = 8
	shards    = 1 << shardBits
	minSlots  = 16 // a first array; with 256 shards an empty table is 48 KiB
)

// Table holds one issuer's records. Put is for one goroutine at a time; Lookup, Len and Digest are for any number beside it,
// and never wait. The zero Table is empty and ready; it must not be copied.
type Table struct {
	shards [shards]shard

	// Written by the writer alone, read by all.
	count  atomic.Int64
	digest atomic.Uint64
}

type shard struct {
	slots atomic.Pointer[slots]

	// The writer's own.
	used int // tags in slots, those of removed entries included
	live int // entries that are not removed
}

// slots is one array of a shard. Its fields are set before it is published.
type slots struct {
	tags []atomic.Uint64 // 0 is free
	recs []atomic.Uint32 // of the tag at the same index
}

// Lookup returns the record of k, and whether the table has one. It allocates nothing and never waits.
func (t *Table) Lookup(k Key) (Record, bool) {
	s := t.shard(k).slots.Load()
	if s == nil {
		return 0, false
	}
	tag := tagOf(k)
	for i := s.home(tag); ; i = s.next(i) {
		switch s.tags[i].Load() {
		case tag:
			r := Record(s.recs[i].Load())
			return r, r != Removed
		case 0:
			return 0, false
		}
	}
}

// Put sets the record of k; Removed removes it. Putting the same twice changes nothing.
func (t *Table) Put(k Key, r Record) {
	sh := t.shard(k)
	old := sh.put(tagOf(k), r)
	if old == r {
		return
	}
	switch {
	case old == Removed:
		t.count.Add(1)
	case r == Removed:
		t.count.Add(-1)
	}
	t.digest.Add(uint64(entryDigest(k, r) - entryDigest(k, old)))
}

// Len returns how many subjects the table holds.
func (t *Table) Len() int { return int(t.count.Load()) }

// Digest returns the digest of the content. Beside a writer it is that of some moment during the call; together with Len it
// is exact only between puts.
func (t *Table) Digest() Digest { return Digest(t.digest.Load()) }

func (t *Table) shard(k Key) *shard { return &t.shards[k.Hi>>(64-shardBits)] }

// tagOf is the key's low half; 0 means a free slot, so the one key in 2^64 with that half gives way by one.
func tagOf(k Key) uint64 { return max(k.Lo, 1) }

// home maps a tag to a slot by multiply-shift, so that an array may have any length (Lemire, "Fast random integer generation
// in an interval").
func (s *slots) home(tag uint64) int {
	i, _ := bits.Mul64(tag, uint64(len(s.tags)))
	return int(i)
}

func (s *slots) next(i int) int {
	if i++; i == len(s.tags) {
		return 0
	}
	return i
}

// put sets the record of tag and returns the one before, Removed if there was none.
func (sh *shard) put(tag uint64, r Record) (old Record) {
	s := sh.slots.Load()
	if s == nil || sh.used >= len(s.tags)/8*7 {
		s = sh.grow(s)
	}
	i := s.home(tag)
	for ; ; i = s.next(i) {
		have := s.tags[i].Load()
		if have == tag {
			old = Record(s.recs[i].Load())
			s.recs[i].Store(uint32(r))
			break
		}
		if have == 0 {
			if r == Removed {
				return Removed
			}
			// The record first: a reader that sees the tag may read it at once.
			s.recs[i].Store(uint32(r))
			s.tags[i].Store(tag)
			sh.used++
			old = Removed
			break
		}
	}
	if old == Removed && r != Removed {
		sh.live++
	} else if old != Removed && r == Removed {
		sh.live--
	}
	return old
}

// grow publishes a larger array with the live entries alone, and returns it. A quarter more than they need keeps the array
// between seven tenths and seven eighths full.
func (sh *shard) grow(old *slots) *slots {
	n := max(minSlots, (sh.live*10/7+7)/8*8)
	s := &slots{tags: make([]atomic.Uint64, n), recs: make([]atomic.Uint32, n)}
	if old != nil {
		for i := range old.tags {
			if r := old.recs[i].Load(); old.tags[i].Load() != 0 && Record(r) != Removed {
				j := s.home(old.tags[i].Load())
				for s.tags[j].Load() != 0 {
					j = s.next(j)
				}
				s.recs[j].Store(r)
				s.tags[j].Store(old.tags[i].Load())
			}
		}
	}
	sh.used = sh.live
	sh.slots.Store(s)
	return s
}
