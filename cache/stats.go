package cache

import "unsafe"

// Stats is how a table lies in memory.
type Stats struct {
	Subjects int
	Slots    int   // room for subjects
	Second   int   // subjects in their second bucket: a lookup reads two cache lines
	Bytes    int64 // of the buckets
}

// Stats walks the table, a shard at a time, each while the writer waits.
func (t *Table) Stats() Stats {
	var s Stats
	for i := range t.arrays {
		t.mu.Lock()
		if a := t.arrays[i].Load(); a != nil {
			s.add(a)
		}
		t.mu.Unlock()
	}
	return s
}

func (s *Stats) add(a *array) {
	s.Slots += a.slots()
	s.Bytes += int64(len(a.buckets)) * bucketSize
	for i := range a.buckets {
		b := a.buckets[i].plain()
		for j, tag := range b.tags {
			if tag != 0 {
				s.Subjects++
				s.Second += int(b.head >> j & 1)
			}
		}
	}
}

// Room returns how many slots for subjects the table has, and the bytes that they take. It takes 128 loads and no lock.
func (t *Table) Room() (slots int, bytes int64) {
	for i := range t.arrays {
		if a := t.arrays[i].Load(); a != nil {
			slots += a.slots()
		}
	}
	return slots, int64(slots / bucketSlots * bucketSize)
}

// Lines returns how many cache lines of buckets a lookup of k reads: 0 in an empty shard, else 1 or 2.
func (t *Table) Lines(k Key) int {
	a := t.arrays[shardOf(k)].Load()
	if a == nil {
		return 0
	}
	at := addressOf(k)
	b := &a.buckets[a.first(at)]
	if h := b.head.Load(); b.find(h, at.tag, 0) < 0 && h&filterBit(at.tag) != 0 {
		return 2
	}
	return 1
}

// Memory returns the words of each shard's buckets, eight a cache line, nil for an empty shard: so that a benchmark can read
// random lines of the very mapping that lookups read. They must not be changed, nor read beside a writer.
func (t *Table) Memory() [][]uint64 {
	words := make([][]uint64, Shards)
	for i := range t.arrays {
		if a := t.arrays[i].Load(); a != nil {
			words[i] = unsafe.Slice((*uint64)(unsafe.Pointer(&a.buckets[0])), len(a.buckets)*bucketSize/8)
		}
	}
	return words
}
