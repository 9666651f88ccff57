package cache

import "math"

// When a shard's array is made anew, and how large. Fuller, searches for room grow long; with smaller steps, entries are copied
// more often than the memory is worth.
const (
	fullLoad     = 0.92 // of the slots
	emptyLoad    = 0.40
	growth       = 1.25 // from one size to the next
	wornFilters  = 1.0  // filter bits set since the array was made, a bucket
	snapshotLoad = 0.93 // of an array that is made for a snapshot
	loadedLoad   = 0.94 // of the slots, at which shard 0 grows if its array was loaded from a snapshot
	loadedSpread = 0.02 // more in the last shard: they were loaded alike, and should not all grow at once
)

func (sh *shard) empty(a *array) bool { return float64(sh.live) < emptyLoad*float64(a.slots()) }

// worn reports whether lookups that miss read many second buckets for nothing.
func (sh *shard) worn(a *array) bool { return float64(sh.set) > wornFilters*float64(len(a.buckets)) }

// widthOf is the width at which n entries make a load.
func widthOf(n int, load float64) float64 { return float64(n) / (load * partitions * bucketSlots) }

// snapshotWidth is the width of an array of n entries that is made for a snapshot.
func snapshotWidth(n int) uint64 { return uint64(math.Ceil(widthOf(n, snapshotLoad))) }

// loadedLimit is the limit of an array that was made for a snapshot.
func loadedLimit(i int, a *array) int {
	return int((loadedLoad + loadedSpread*float64(i)/Shards) * float64(a.slots()))
}

// size is the smallest width of shard i that is at least least. The sizes are the powers of growth, each shard's a little
// larger than those of the shard before it: so at every moment of a table's growth some shards are almost full, some have just
// grown, and the memory that a subject costs hardly changes.
func size(i uint64, least float64) uint64 {
	phase := float64(i) / Shards
	power := math.Ceil(math.Log(max(least, 1))/math.Log(growth) - phase)
	return uint64(math.Ceil(math.Pow(growth, power+phase)))
}

// grow gives shard i a larger array.
func (t *Table) grow(i uint64) *array {
	least := widthOf(t.shards[i].live+1, fullLoad)
	if old := t.arrays[i].Load(); old != nil {
		least = max(least, float64(old.width)*(1+growth)/2)
	}
	return t.resize(i, size(i, least))
}

// shrink gives shard i a smaller array, if there is a size between.
func (t *Table) shrink(i uint64) {
	if width := size(i, widthOf(t.shards[i].live, (emptyLoad+fullLoad)/2)); width < t.arrays[i].Load().width {
		t.resize(i, width)
	}
}

// resize publishes a copy of shard i's array, of a given width or more, and gives back the old one's memory: a reader that is
// in it still will find that the array is no longer the shard's, and look again.
func (t *Table) resize(i uint64, width uint64) *array {
	old := t.arrays[i].Load()
	a := t.copyOf(old, width)
	t.arrays[i].Store(a)
	t.shards[i].set = 0
	t.memory.release(old)
	return a
}

// copyOf makes an array of a given width, or of a larger one if a search for room came to its bound, with the entries of old.
func (t *Table) copyOf(old *array, width uint64) *array {
	for ; ; width += width/8 + 1 {
		a := t.memory.newArray(width)
		a.limit = int(fullLoad * float64(a.slots()))
		if old == nil || a.copyFrom(old, &t.writer) {
			return a
		}
		t.memory.release(a)
	}
}

// entry is what a shard knows of a subject.
type entry struct {
	address
	record Record
}

// copyFrom takes over the entries of an array into a, which is empty and nobody else's yet: first all that have room in their
// first bucket, then the rest. Old is in the order of a's buckets for the entries that are at home in it, so most of a is
// written in order too.
func (a *array) copyFrom(old *array, w *writer) bool {
	w.rest = w.rest[:0]
	for partition := range uint64(partitions) {
		for i := range old.width {
			b := old.buckets[partition*old.width+i].plain()
			for j, tag := range b.tags {
				if tag == 0 {
					continue
				}
				if at := b.home(partition, j); !a.addHome(at, b.recs[j]) {
					w.rest = append(w.rest, entry{at, Record(b.recs[j])})
				}
			}
		}
	}
	for _, e := range w.rest {
		if ok, _ := a.insert(e.address, e.record, &w.search); !ok {
			return false
		}
	}
	return true
}

// addHome puts an entry into its first bucket if it has room, without the price of atomics. Until the rest is inserted, the
// version of a bucket counts its entries.
func (a *array) addHome(at address, r uint32) bool {
	b := a.buckets[a.first(at)].plain()
	j := b.head >> versionShift
	if j >= bucketSlots {
		return false
	}
	b.recs[j], b.tags[j] = r, at.tag
	b.head += change
	return true
}
