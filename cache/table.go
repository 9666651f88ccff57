package cache

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	shardBits     = 7
	partitionBits = 8
	partitions    = 1 << partitionBits // in a shard

	// Shards is the number of a table's shards.
	Shards = 1 << shardBits
)

// Table holds one issuer's records. Lookup, LookupMany, Len and Digest are for any number of goroutines at once; they take no
// lock and never wait. What changes or walks the table takes turns: Put and PutMany wait for a shard's scrub or copy to end. The
// zero Table is empty and ready; it must not be copied.
type Table struct {
	arrays [Shards]atomic.Pointer[array] // nil: the shard is empty
	_      [64]byte                      // or writing below would cost the readers above their cache lines

	// Published by the writer.
	count  atomic.Int64
	digest atomic.Uint64

	mu sync.Mutex // who changes a shard or walks it
	writer
}

// writer is what is the writer's own, under the table's lock.
type writer struct {
	shards [Shards]shard
	memory memory
	search search
	rest   []entry // of copyFrom, kept to be allocated seldom
	live   int
	sum    Digest

	issuer       string
	seed         SeedID
	begun, whole Position // the batches of the log that were put last, in part and as a whole
	exact        uint64   // the batch that makes a table exact that was read from a snapshot
}

// shard is what the writer keeps of a shard, beside its array.
type shard struct {
	live   int // entries
	set    int // filter bits set since the array was made
	digest Digest

	statuses Counts // of its entries, once they were counted; every put keeps them from then on
	counted  bool
}

// Delta is one subject's new record; Removed removes it.
type Delta struct {
	Key    Key
	Record Record
}

// keyBits is how many bits of a key count: those that name its shard, those that name its partition in there, and its tag.
const keyBits = shardBits + partitionBits + 64

func shardOf(k Key) uint64 { return k.Hi >> (64 - shardBits) }

// addressOf is the rest of a key. The one tag in 2^64 that would mean a free slot gives way by one.
func addressOf(k Key) address {
	return address{k.Hi >> (64 - shardBits - partitionBits) & (partitions - 1), max(k.Lo, 1)}
}

// Lookup returns the record of k, and whether the table has one. It allocates nothing.
//
// It is the first look of array.lookup, written out: a processor waits for the lines of as many lookups at once as have their
// instructions in its window, some two hundred.
func (t *Table) Lookup(k Key) (Record, bool) {
	p := &t.arrays[shardOf(k)]
	a := p.Load()
	if a == nil {
		return 0, false
	}
	at := addressOf(k)
	b := (*bucket)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(a.buckets)), a.first(at)*bucketSize)) // place is always within
	h := b.head.Load()
	_, hit := bits.Sub64(b.tags[4].Load()^at.tag, 1, 0) // bucket.match
	m, _ := bits.Add64(0, 0, hit)
	_, hit = bits.Sub64(b.tags[3].Load()^at.tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	_, hit = bits.Sub64(b.tags[2].Load()^at.tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	_, hit = bits.Sub64(b.tags[1].Load()^at.tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	_, hit = bits.Sub64(b.tags[0].Load()^at.tag, 1, 0)
	m, _ = bits.Add64(m, m, hit)
	if m &^= uint64(h); m != 0 {
		r := Record(b.recs[bits.TrailingZeros64(m)].Load())
		if b.head.Load() == h && p.Load() == a {
			return r, true
		}
	} else if h&filterBit(at.tag) == 0 {
		if b.head.Load() == h && p.Load() == a {
			return 0, false
		}
	} else if r, found, _ := a.lookupSecond(at); found && p.Load() == a {
		return r, true
	}
	return t.lookup(k)
}

// lookup is Lookup without haste.
func (t *Table) lookup(k Key) (Record, bool) {
	p := &t.arrays[shardOf(k)]
	for {
		a := p.Load()
		if a == nil {
			return 0, false
		}
		r, ok := a.lookup(addressOf(k))
		if p.Load() == a {
			return r, ok
		}
		// The array was replaced meanwhile: its memory may have been another's already when it was read.
	}
}

// How far the loading of lines runs ahead of their use: more lookups than a core can wait for at once, and few enough for their
// lines to be in its first cache still. A run is what is done before the lookups that need a second bucket are ended.
const (
	ahead = 64
	run   = 256
)

// LookupMany sets recs[i] to the record of keys[i], or to Removed if the table has none. It waits for the memory of many
// lookups at once, and so costs a fraction of as many calls of Lookup. It allocates nothing. It panics if recs is shorter
// than keys.
func (t *Table) LookupMany(keys []Key, recs []Record) {
	if len(recs) < len(keys) {
		panic(fmt.Sprintf("cache: LookupMany of %d keys into %d records", len(keys), len(recs)))
	}
	for len(keys) > 0 {
		n := min(len(keys), run)
		t.lookupRun(keys[:n], recs[:n])
		keys, recs = keys[n:], recs[n:]
	}
}

func (t *Table) lookupRun(keys []Key, recs []Record) {
	for _, k := range keys[:min(len(keys), ahead)] {
		t.Touch(k)
	}
	var rest [run]uint8
	n := 0
	for i, k := range keys {
		if i+ahead < len(keys) {
			t.Touch(keys[i+ahead])
		}
		var sure bool
		if recs[i], sure = t.lookupFirst(k); !sure {
			rest[n] = uint8(i)
			n++
		}
	}
	for _, i := range rest[:n] {
		r, ok := t.lookup(keys[i])
		if !ok {
			r = Removed
		}
		recs[i] = r
	}
}

// lookupFirst looks into k's first bucket alone. If it is not sure, the second one's line is being loaded.
func (t *Table) lookupFirst(k Key) (r Record, sure bool) {
	p := &t.arrays[shardOf(k)]
	a := p.Load()
	if a == nil {
		return Removed, true
	}
	at := addressOf(k)
	if r, sure = a.buckets[a.first(at)].lookup(at.tag); sure && p.Load() == a {
		return r, true
	}
	prefetch(unsafe.Pointer(&a.buckets[a.second(at)]))
	return Removed, false
}

// Touch begins to load the memory that a Lookup of k will read first, and waits for nothing. Who has other work to do before looking up,
// such as to make the next keys, then finds it near. It allocates nothing; for any number of goroutines at once.
func (t *Table) Touch(k Key) {
	if a := t.arrays[shardOf(k)].Load(); a != nil {
		prefetch(unsafe.Pointer(&a.buckets[a.first(addressOf(k))]))
	}
}

// Put sets the record of k; Removed removes it. Putting the same twice changes nothing.
func (t *Table) Put(k Key, r Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.arrays[shardOf(k)].Load(); a != nil {
		prefetch(unsafe.Pointer(&a.buckets[a.second(addressOf(k))])) // every other new entry needs it, after it has waited for the first
	}
	t.put(k, r)
	t.publish()
}

// PutMany makes puts in order. A reader may see any of them before the last is made. It waits for the memory of many puts at
// once, and so costs a fraction of as many calls of Put.
func (t *Table) PutMany(deltas []Delta) {
	for len(deltas) > 0 {
		n := min(len(deltas), ahead)
		t.putAhead(deltas[:n])
		deltas = deltas[n:]
	}
}

func (t *Table) putAhead(deltas []Delta) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.touchAhead(deltas)
	for i := range deltas {
		t.put(deltas[i].Key, deltas[i].Record)
	}
	t.publish()
}

// touchAhead has the lines loaded that puts will need, in three stages, each of which needs what the one before it loaded: the first
// buckets; the second ones of new entries whose first is full; and if both are full, the buckets that a search for room begins with.
func (t *Table) touchAhead(deltas []Delta) {
	for i := range deltas {
		t.Touch(deltas[i].Key)
	}
	var rest [ahead]uint8
	n := 0
	for i := range deltas {
		k := deltas[i].Key
		if a := t.arrays[shardOf(k)].Load(); a != nil && a.touchSecond(addressOf(k)) {
			rest[n] = uint8(i)
			n++
		}
	}
	for _, i := range rest[:n] {
		k := deltas[i].Key
		t.arrays[shardOf(k)].Load().touchOthers(addressOf(k))
	}
}

// publish tells readers the count and the digest.
func (t *Table) publish() {
	if int64(t.live) != t.count.Load() {
		t.count.Store(int64(t.live))
	}
	t.digest.Store(uint64(t.sum))
}

func (t *Table) put(k Key, r Record) {
	i, at := shardOf(k), addressOf(k)
	sh, a := &t.shards[i], t.arrays[i].Load()
	old := Removed
	if a != nil {
		if b, j := a.slotOf(at); j >= 0 {
			old = Record(b.recs[j].Load())
			switch {
			case old == r:
				return
			case r == Removed:
				b.leave(j)
			default:
				b.recs[j].Store(uint32(r))
			}
		}
	}
	if old == r {
		return
	}
	change := entryDigest(i, at, r) - entryDigest(i, at, old)
	sh.digest += change
	t.sum += change
	sh.statuses.move(old, r)
	switch {
	case old == Removed:
		t.insert(i, at, r)
	case r == Removed:
		sh.live--
		t.live--
		if sh.empty(a) {
			t.shrink(i)
		}
	}
}

// insert adds an entry that is not there.
func (t *Table) insert(i uint64, at address, r Record) {
	sh, a := &t.shards[i], t.arrays[i].Load()
	if a == nil || sh.live >= a.limit {
		a = t.grow(i)
	}
	ok, news := a.insert(at, r, &t.search)
	for !ok {
		a = t.grow(i)
		ok, news = a.insert(at, r, &t.search)
	}
	sh.live++
	t.live++
	if sh.set += news; sh.worn(a) {
		t.resize(i, a.width)
	}
}

// Len returns how many subjects the table holds.
func (t *Table) Len() int { return int(t.count.Load()) }

// Digest returns the digest of the content. Beside a writer it is that of some moment during the call; together with Len it
// is exact only between puts.
func (t *Table) Digest() Digest { return Digest(t.digest.Load()) }
