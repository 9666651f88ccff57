package cache

import (
	"math/bits"
	"unsafe"
)

// array is the buckets of one shard: width of them in each partition. Its fields do not change once readers can see it.
type array struct {
	buckets []bucket
	width   uint64
	limit   int   // entries; for one more, a larger array is made
	slot    *slot // where the buckets lie, if not on the Go heap
}

// newArray makes an empty array that is about to be filled.
func (m *memory) newArray(width uint64) *array {
	a := m.allot(width)
	a.populate()
	return a
}

func (a *array) slots() int { return len(a.buckets) * bucketSlots }

// address is what an array knows of a key: its partition in the shard, and its tag. With the shard's number they are the 79
// bits that count.
type address struct{ partition, tag uint64 }

// place is the bucket within a partition that a hash names, by multiply-shift: any width will do (Lemire, "Fast random integer
// generation in an interval", 2019).
func (a *array) place(partition, hash uint64) uint64 {
	i, _ := bits.Mul64(hash, a.width)
	return partition*a.width + i
}

func (a *array) first(at address) uint64 { return a.place(at.partition, at.tag) }

// second is the other bucket of an entry, in the partition that differs from the first by a hash of the tag: so tag and bucket
// give back the key's partition from either.
func (a *array) second(at address) uint64 {
	return a.place(otherPartition(at.partition, at.tag), mix(at.tag))
}

func otherPartition(partition, tag uint64) uint64 { return partition ^ mix(tag)&(partitions-1) }

// mix is a hash of a tag that is independent of the tag's high bits (the folded multiplication of wyhash).
func mix(tag uint64) uint64 {
	hi, lo := bits.Mul64(tag, 0x9E3779B97F4A7C15)
	return hi ^ lo
}

// home is the address of the entry in a slot of bucket i, where that is the bucket's own partition.
func (b *plainBucket) home(partition uint64, slot int) address {
	tag := b.tags[slot]
	if b.head>>slot&1 == 1 {
		partition = otherPartition(partition, tag)
	}
	return address{partition, tag}
}

// lookup returns the record of an entry. It looks again when the writer moved something under its eyes.
func (a *array) lookup(at address) (Record, bool) {
	b := &a.buckets[a.first(at)]
	for {
		h := b.head.Load()
		if m := b.match(at.tag) &^ h; m != 0 {
			r := b.recs[bits.TrailingZeros32(m)].Load()
			if b.head.Load() == h {
				return Record(r), true
			}
			continue // the slot may have changed hands before its record was read
		}
		if h&filterBit(at.tag) != 0 {
			if r, found, sure := a.lookupSecond(at); found {
				return r, true
			} else if !sure {
				continue
			}
		}
		if b.head.Load() == h {
			return 0, false
		}
		// The entry may have come home after its slot here was read.
	}
}

// lookupSecond looks in the second bucket. It is not sure when the slot may have changed hands.
func (a *array) lookupSecond(at address) (r Record, found, sure bool) {
	b := &a.buckets[a.second(at)]
	h := b.head.Load()
	m := b.match(at.tag) & h & choices
	if m == 0 {
		return 0, false, true
	}
	r = Record(b.recs[bits.TrailingZeros32(m)].Load())
	if b.head.Load() != h {
		return 0, false, false
	}
	return r, true, true
}

// slotOf is where an entry is: bucket and slot in it, or a negative slot. For the writer.
func (a *array) slotOf(at address) (*bucket, int) {
	b := &a.buckets[a.first(at)]
	h := b.head.Load()
	if i := b.find(h, at.tag, 0); i >= 0 || h&filterBit(at.tag) == 0 {
		return b, i
	}
	b = &a.buckets[a.second(at)]
	return b, b.find(b.head.Load(), at.tag, 1)
}

// insert places an entry that is not there. It reports false, and has changed nothing that a lookup could notice, when there
// is no room within the search's bounds. News is how many filter bits it set.
func (a *array) insert(at address, r Record, s *search) (ok bool, news int) {
	i1 := a.first(at)
	b1 := &a.buckets[i1]
	if j := b1.free(); j >= 0 {
		b1.add(j, at.tag, r, 0)
		return true, 0
	}
	b2 := &a.buckets[a.second(at)]
	j := b2.free()
	if j < 0 {
		var i uint64
		if i, j, news, ok = s.makeRoom(a, at); !ok {
			return false, 0
		}
		if i == i1 {
			b1.add(j, at.tag, r, 0)
			return true, news
		}
	}
	if b1.movedOn(at.tag) {
		news++
	}
	b2.add(j, at.tag, r, 1)
	return true, news
}

// touchSecond has an entry's second bucket loaded, and reports so, if a put will look into it: if the entry is not in its first one,
// and that is full.
func (a *array) touchSecond(at address) bool {
	b := &a.buckets[a.first(at)]
	if b.match(at.tag)&^b.head.Load()|b.match(0) != 0 {
		return false
	}
	prefetch(unsafe.Pointer(&a.buckets[a.second(at)]))
	return true
}

// touchOthers has the buckets loaded to which a new entry's first bucket could give one of its own, if the second is full too.
func (a *array) touchOthers(at address) {
	b := &a.buckets[a.second(at)]
	if b.match(at.tag)&b.head.Load()|b.match(0) != 0 {
		return
	}
	s := step{bucket: a.first(at), partition: at.partition}
	for j := range bucketSlots {
		prefetch(unsafe.Pointer(&a.buckets[a.other(&s, j).bucket]))
	}
}
