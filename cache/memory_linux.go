package cache

import (
	"math/bits"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	hugePage    = 2 << 20
	firstRegion = 4 << 20
)

// onHeap puts arrays on the Go heap, as on systems other than Linux. For tests: the race detector does not see mapped memory.
var onHeap = false

// memory is where a table's arrays lie: in mappings outside the Go heap, for the collector would let a table grow to a multiple
// of itself before it freed what shards have outgrown, and knows nothing of huge pages.
//
// A mapping is cut into slots of powers of two, of which an array touches only as much as it needs. The memory of a released
// array goes back to the system at once, its addresses stay mapped (they read as zeros) until they are another array's. So a
// late reader can't touch unmapped memory; what it read is void, for its array is no longer the shard's. The mappings go when
// nobody can reach the table, nor an array, any more.
type memory struct {
	held *held
	free [64][]unsafe.Pointer // slots of 1<<i bytes that nobody uses
	next unsafe.Pointer       // the part of the last mapping that was never used
	left uintptr
}

// held are a table's mappings. Each of its arrays leads here, so that they live as long as any reader holds one.
type held struct{ regions *[]region }

type region struct {
	at   unsafe.Pointer
	size uintptr
}

// slot is what an array holds of a mapping.
type slot struct {
	held  *held
	at    unsafe.Pointer
	class int
}

// allot makes an empty array, of which the system gives the memory when it is populated or used.
func (m *memory) allot(width uint64) *array {
	a := &array{width: width}
	n := width * partitions
	if !onHeap {
		a.slot = m.take(uintptr(n * bucketSize))
	}
	if a.slot == nil { // no address space: the heap will do, or will say so itself
		a.buckets = make([]bucket, n)
		return a
	}
	a.buckets = unsafe.Slice((*bucket)(a.slot.at), n)
	return a
}

// take returns a slot of zeros, or nil if the system gives none. Huge pages are asked for as far as they are used whole. A slot is
// never smaller than a page: the system takes back whole pages, and with them what else would lie there.
func (m *memory) take(size uintptr) *slot {
	class := classOf(size, uintptr(os.Getpagesize()))
	at := m.pop(class)
	if at == nil {
		at = m.cut(1 << class)
	}
	if at == nil {
		return nil
	}
	if whole := size &^ (hugePage - 1); whole > 0 {
		advise(at, whole, unix.MADV_HUGEPAGE)
		advise(unsafe.Add(at, whole), 1<<class-whole, unix.MADV_NOHUGEPAGE)
	}
	return &slot{m.held, at, class}
}

// populate has the system give an array's memory at once, which is cheaper than a page at a time.
func (a *array) populate() {
	if a.slot != nil {
		advise(a.slot.at, uintptr(len(a.buckets)*bucketSize), unix.MADV_POPULATE_WRITE)
	}
}

// classOf is the class of the slot for so many bytes.
func classOf(size, page uintptr) int { return bits.Len64(uint64(max(size, page) - 1)) }

func (m *memory) pop(class int) unsafe.Pointer {
	free := m.free[class]
	if len(free) == 0 {
		return nil
	}
	m.free[class] = free[:len(free)-1]
	return free[len(free)-1]
}

// cut takes a slot, aligned to its size or to huge pages, from the last mapping or a new one.
func (m *memory) cut(size uintptr) unsafe.Pointer {
	if gap := -uintptr(m.next) & (min(size, hugePage) - 1); m.next != nil && gap+size <= m.left {
		m.next, m.left = unsafe.Add(m.next, gap), m.left-gap
	} else if !m.reserve(size) {
		return nil
	}
	at := m.next
	m.next, m.left = unsafe.Add(at, size), m.left-size
	return at
}

// reserve makes a mapping of at least size bytes, and larger than the largest before it.
func (m *memory) reserve(size uintptr) bool {
	if m.held == nil {
		m.held = &held{new([]region)}
		runtime.AddCleanup(m.held, unmap, m.held.regions)
	}
	total := max(size, firstRegion)
	for _, r := range *m.held.regions {
		total = max(total, r.size)
	}
	total += hugePage // to align it
	at, err := unix.MmapPtr(-1, 0, nil, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return false
	}
	advise(at, total, unix.MADV_NOHUGEPAGE) // but where an array will use them whole
	*m.held.regions = append(*m.held.regions, region{at, total})
	gap := -uintptr(at) & (hugePage - 1)
	m.next, m.left = unsafe.Add(at, gap), total-gap
	return true
}

func unmap(regions *[]region) {
	for _, r := range *regions {
		_ = unix.MunmapPtr(r.at, r.size)
	}
}

// release gives an array's memory back to the system, and its addresses to the next array.
func (m *memory) release(a *array) {
	if a == nil || a.slot == nil {
		return
	}
	if advise(a.slot.at, uintptr(len(a.buckets)*bucketSize), unix.MADV_DONTNEED) != nil {
		clear(a.buckets) // locked memory does not go back
	}
	m.free[a.slot.class] = append(m.free[a.slot.class], a.slot.at)
}

// advise may be refused: a kernel without huge pages knows no advice on them, and all works without.
func advise(at unsafe.Pointer, size uintptr, advice int) error {
	return unix.Madvise(unsafe.Slice((*byte)(at), size), advice)
}
