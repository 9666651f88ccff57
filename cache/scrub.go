package cache

import (
	"fmt"
	"math/bits"
	"unsafe"
)

// Scrub reads shard i's memory again and compares it with what every put has kept: the count, the digest, and that each entry lies
// where a lookup will find it. So it finds what no beat can, memory that changed by itself. Readers go on beside it; puts wait
// for it, some 10 ns a subject of one shard. A table is scrubbed by calls for each i from 0 to Shards-1, as slowly as one
// likes. An error means that the table must not be believed any more.
func (t *Table) Scrub(i int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, err := t.arrays[i].Load().sum(uint64(i))
	if err != nil {
		return fmt.Errorf("scrub shard %d: %w", i, err)
	}
	if kept := t.shards[i]; found.live != kept.live || found.digest != kept.digest {
		return fmt.Errorf("scrub shard %d: its memory holds %d subjects with digest %v, not the %d with %v that were put; load the table anew",
			i, found.live, found.digest, kept.live, kept.digest)
	}
	return nil
}

// sum counts and digests the entries of shard i's array, which may be nil. The error names one that no lookup would find.
func (a *array) sum(i uint64) (s shard, err error) {
	if a == nil {
		return s, nil
	}
	var moved movedEntries
	for partition := range uint64(partitions) {
		for place := range a.width {
			n := partition*a.width + place
			b := a.buckets[n].plain()
			for j, tag := range b.tags {
				if tag == 0 {
					continue
				}
				at, hash := address{partition, tag}, tag
				if b.head>>j&1 == 1 {
					hash = mix(tag)
					at.partition ^= hash & (partitions - 1)
					moved.add(a, a.first(at), filterBit(tag))
				}
				if hi, _ := bits.Mul64(hash, a.width); hi != place {
					return s, fmt.Errorf("bucket %d, slot %d: an entry that belongs elsewhere", n, j)
				}
				s.live++
				s.digest += Digest(xxhash16(tag, besideTag(i, at, b.recs[j]))) // entryDigest would be a call
			}
		}
	}
	return s, moved.check(a)
}

// movedEntries are entries in their second buckets, whose first buckets' filters must say so. They are looked at some time later,
// when their lines are there.
type movedEntries struct {
	first [64]uint64
	bit   [64]uint32
	n     int
	err   error
}

func (m *movedEntries) add(a *array, first uint64, bit uint32) {
	prefetch(unsafe.Pointer(&a.buckets[first]))
	m.first[m.n], m.bit[m.n] = first, bit
	if m.n++; m.n == len(m.first) {
		m.err = m.check(a)
	}
}

// check looks at those that were added since the last time, and returns the first error of all times.
func (m *movedEntries) check(a *array) error {
	for i, first := range m.first[:m.n] {
		if a.buckets[first].plain().head&m.bit[i] == 0 && m.err == nil {
			m.err = fmt.Errorf("bucket %d: its filter hides an entry that moved on", first)
		}
	}
	m.n = 0
	return m.err
}
