package cache

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

const (
	bucketSlots = 5
	bucketSize  = 64 // bytes: one cache line

	// The bits of a bucket's head.
	choices      = 1<<bucketSlots - 1 // bit i: the entry in slot i is in its second bucket
	filterShift  = bucketSlots
	filterBits   = 8 // which entries of this bucket may be in their second one
	filter       = (1<<filterBits - 1) << filterShift
	versionShift = filterShift + filterBits
	change       = 1 << versionShift // added when an entry has left, or has come from its other bucket
)

// bucket is one cache line: see the package doc.
type bucket struct {
	head atomic.Uint32
	recs [bucketSlots]atomic.Uint32
	tags [bucketSlots]atomic.Uint64 // 0 is free
}

// plainBucket is a bucket that nobody else changes or, while it is being filled, sees.
type plainBucket struct {
	head uint32
	recs [bucketSlots]uint32
	tags [bucketSlots]uint64
}

func (b *bucket) plain() *plainBucket { return (*plainBucket)(unsafe.Pointer(b)) }

// match is the set of slots that hold a tag, slot i as bit i. It has no branch: one that is mispredicted for every other lookup would
// keep the processor from waiting for the lines of several lookups at once. A slot's tag less the one that is looked for borrows
// only if there is no difference, and the borrows are shifted in: four instructions a slot.
func (b *bucket) match(tag uint64) uint32 {
	_, hit := bits.Sub64(b.tags[4].Load()^tag, 1, 0)
	m, _ := bits.Add64(0, 0, hit)
	_, hit = bits.Sub64(b.tags[3].Load()^tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	_, hit = bits.Sub64(b.tags[2].Load()^tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	_, hit = bits.Sub64(b.tags[1].Load()^tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	_, hit = bits.Sub64(b.tags[0].Load()^tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	return uint32(m)
}

// lookup looks for an entry in its first bucket alone, once, which is nearly always enough. The record is Removed if there is
// none; it is not sure if the second bucket must be looked into, or the writer was in here meanwhile.
func (b *bucket) lookup(tag uint64) (r Record, sure bool) {
	h := b.head.Load()
	m := b.match(tag) &^ h
	if m == 0 {
		return Removed, h&filterBit(tag) == 0 && b.head.Load() == h
	}
	r = Record(b.recs[bits.TrailingZeros32(m)].Load())
	return r, b.head.Load() == h
}

// find returns the slot of an entry in its first (choice 0) or second (choice 1) bucket, or -1. h is the bucket's head.
func (b *bucket) find(h uint32, tag uint64, choice uint32) int {
	return lowest(b.match(tag) & (h ^ (choice - 1)))
}

// free returns a free slot, or -1.
func (b *bucket) free() int { return lowest(b.match(0)) }

func lowest(slots uint32) int {
	if slots == 0 {
		return -1
	}
	return bits.TrailingZeros32(slots)
}

// add puts a new entry into a free slot. Readers see it by its tag, so that is stored last.
func (b *bucket) add(i int, tag uint64, r Record, choice uint32) {
	if h := b.head.Load(); h>>i&1 != choice {
		b.head.Store(h ^ 1<<i)
	}
	b.recs[i].Store(uint32(r))
	b.tags[i].Store(tag)
}

// arrive adds an entry that is still in its other bucket too. The new version is for readers that have looked here before
// they find it gone there: they look again.
func (b *bucket) arrive(i int, tag uint64, r Record, choice uint32) {
	b.add(i, tag, r, choice)
	b.head.Store(b.head.Load() + change)
}

// leave frees a slot. The new version is for readers that have seen the tag and go on to read the record: the slot's next
// entry comes after it.
func (b *bucket) leave(i int) {
	b.tags[i].Store(0)
	b.head.Store(b.head.Load() + change)
}

// movedOn notes that an entry of this bucket is about to be in its second one, and reports whether that is news. It must be
// noted before it is true.
func (b *bucket) movedOn(tag uint64) bool {
	h := b.head.Load()
	if h&filterBit(tag) != 0 {
		return false
	}
	b.head.Store(h | filterBit(tag))
	return true
}

// filterBit is the bit of the filter that stands for a tag. It is taken from the tag's low bits, for the high ones choose the
// bucket.
func filterBit(tag uint64) uint32 { return 1 << (filterShift + uint32(tag)&(filterBits-1)) }
