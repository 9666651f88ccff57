package cache

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// resident is this process's resident memory as the kernel counts it, garbage given back first.
func resident(t *testing.T) int64 {
	debug.FreeOSMemory()
	return statm(t, 1)
}

// statm is a field of /proc/self/statm, in bytes: 0 is the address space, 1 what is resident.
func statm(t *testing.T, field int) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[field], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// eventually waits for what the collector and its cleanups do in their own time.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so in the end: %s", what)
		}
		runtime.GC()
	}
}

// alone runs a test in a process of its own, whose memory nobody else's garbage is in: this one, with the same name, which
// finds `inside` to be true.
func alone(t *testing.T) (inside bool) {
	if os.Getenv("CACHE_TEST_ALONE") == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", fmt.Sprintf("-grown=%d", *grown))
	cmd.Env = append(os.Environ(), "CACHE_TEST_ALONE="+t.Name(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("in a process of its own: %v", err)
	}
	t.Logf("%s", out)
	return false
}

var grown = flag.Int("grown", 2_400_000, "how many subjects the table grows to whose memory is watched; over 2 million")

// slack is what a program's own memory may change by: its heap, its stacks, the race detector's notes.
const slack = 2 * mib

// At no moment of its growth by single puts does a table take more than 16.5 bytes a subject: not of buckets, and not of resident
// memory but for the slack. Arrays of few buckets a partition come in rougher sizes: below 1.5 million, they are a little more.
func TestGrowingTakesLittleMemory(t *testing.T) {
	if !alone(t) {
		return
	}
	const from, every, most = 1_900_000, 5000, 16.5
	table := new(Table)
	table.Put(cheapKey(0), 1)
	base := resident(t)
	var buckets, memory float64 // of a subject, at worst
	for i := 1; i < *grown; i++ {
		table.Put(cheapKey(uint64(i)), Record(i))
		if i%every == 0 && i >= from {
			buckets = max(buckets, float64(table.bucketBytes())/float64(i))
			memory = max(memory, float64(statm(t, 1)-base-slack)/float64(i))
		}
	}
	t.Logf("%d subjects: at most %.2f bytes of buckets each, %.2f resident; %+v", *grown, buckets, memory, table.Stats())
	if buckets > most || memory > most || min(buckets, memory) < 12 { // less: it was not measured
		t.Errorf("%.2f bytes of buckets a subject, %.2f resident", buckets, memory)
	}
}

func (t *Table) bucketBytes() (n int) {
	for i := range t.arrays {
		if a := t.arrays[i].Load(); a != nil {
			n += len(a.buckets) * bucketSize
		}
	}
	return n
}

// What removals leave unused goes back to the system, and so does all when the table is dropped. The first table's life shows what
// the program itself takes.
func TestMemoryGoesBack(t *testing.T) {
	if !alone(t) {
		return
	}
	liveAndLeave(t, func(string, int64) {})
	base := resident(t)
	liveAndLeave(t, func(when string, want int64) {
		if got := resident(t) - base; got < want-slack || got > want+slack {
			t.Errorf("%s: %d bytes are resident, want %d", when, got, want)
		}
	})
}

func liveAndLeave(t *testing.T, watch func(when string, want int64)) {
	const n, left = 400_000, 1000
	few := func(i uint64) Key { k := cheapKey(i); return Key{k.Hi >> 4, k.Lo} } // 8 shards
	table := new(Table)
	for i := range uint64(n) {
		table.Put(few(i), 1)
	}
	full := audit(t, table).Bytes
	watch("full", full)
	for i := range uint64(n - left) {
		table.Put(few(i), Removed)
	}
	small := audit(t, table).Bytes
	if full < 2*slack || small > full/10 {
		t.Errorf("%d subjects take %d bytes, and %d of them %d", n, full, left, small)
	}
	watch("after removals", small)
	mappings := *table.memory.held.regions
	table = nil
	for _, m := range mappings {
		eventually(t, "a dropped table's mapping is gone", func() bool { return !mapped(t, m) })
	}
	watch("dropped", 0)
}

// mapped reports whether a region is mapped from end to end. When it is gone, something smaller may soon be in its place.
func mapped(t *testing.T, r region) bool {
	end := uintptr(r.at)
	for _, m := range maps(t) { // in the order of addresses
		var from, to uintptr
		if _, err := fmt.Sscanf(m, "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		if from <= end && end < to {
			end = to
		}
	}
	return end >= uintptr(r.at)+r.size
}

func maps(t *testing.T) []string {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Tables come and go for as long as a process runs: no mapping, no address space, no descriptor and no goroutine stays.
func TestTablesLeaveNothing(t *testing.T) {
	if !alone(t) {
		return
	}
	const rounds, settled = 40, 10 // by then the runtime has what it needs itself
	var lines, files, routines int
	var space, taken int64
	for round := range rounds {
		if round == settled {
			lines, space, files, routines = len(maps(t)), statm(t, 0), descriptors(t), runtime.NumGoroutine()
		}
		table := filled(2000)
		for i := range uint64(10) {
			table.replace(i, 40) // so that it has several mappings
		}
		mappings := *table.memory.held.regions
		table = nil
		eventually(t, "a dropped table's last mapping is gone", func() bool { return !mapped(t, mappings[len(mappings)-1]) })
		for _, m := range mappings {
			taken += int64(m.size)
		}
	}
	if n := len(maps(t)); n > lines+rounds-settled {
		t.Errorf("%d mappings after %d tables, %d after %d", lines, settled, n, rounds)
	}
	if n := statm(t, 0); n-space > taken/4 { // a thread takes some too
		t.Errorf("%d bytes of address space after %d tables, %d after %d, which took %d", space, settled, n, rounds, taken)
	}
	if f, r := descriptors(t), runtime.NumGoroutine(); f > files || r > routines {
		t.Errorf("%d descriptors and %d goroutines after %d tables, %d and %d after %d", files, routines, settled, f, r, rounds)
	}
}

// A late reader holds the array that it reads, and so its mapping, when the table is long gone.
func TestMappingOutlivesItsTable(t *testing.T) {
	table := filled(1000)
	k := key(17, false)
	a := table.arrays[shardOf(k)].Load()
	regions := table.memory.held.regions
	table = nil
	for range 5 {
		runtime.GC()
		if r, ok := a.lookup(addressOf(k)); !ok || r != 17 {
			t.Fatalf("%v, %v", r, ok)
		}
	}
	runtime.KeepAlive(a)
	a = nil
	eventually(t, "the mapping is gone when nobody holds an array", func() bool { return !mapped(t, (*regions)[0]) })
}

// However often arrays are outgrown, a table's mappings stay few, and most of its address space is of use.
func TestMappingsAreFew(t *testing.T) {
	var m memory
	var last [Shards]*array
	for width := uint64(2); width <= 64; width += width/4 + 1 {
		for i := range last {
			a := m.newArray(width)
			m.release(last[i])
			last[i] = a
		}
	}
	space := uintptr(0)
	for _, r := range *m.held.regions {
		space += r.size
	}
	used := uintptr(Shards * len(last[0].buckets) * bucketSize)
	if n := len(*m.held.regions); n > 20 || space > 4*used {
		t.Errorf("%d mappings, %d MiB for %d", n, space/mib, used/mib)
	}
}

// A page that is given back is one array's alone.
func TestSlotsShareNoPage(t *testing.T) {
	var m memory
	page := func(at unsafe.Pointer, offset int) uintptr {
		return (uintptr(at) + uintptr(offset)) / uintptr(os.Getpagesize())
	}
	a, b := m.newArray(1), m.newArray(1)
	if page(a.slot.at, len(a.buckets)*bucketSize-1) == page(b.slot.at, 0) {
		t.Error("two arrays lie in one page")
	}
}

// The next array in the memory of a released one finds no entry of it, be it smaller or larger, whatever the system does.
func TestReleasedMemoryReadsAsZeros(t *testing.T) {
	for _, locked := range []bool{false, true} {
		for _, widths := range [][]uint64{{1, 1}, {4, 3}, {5, 8}, {200, 256}, {256, 200}, {200, 129}} {
			t.Run(fmt.Sprintf("%d/locked=%v", widths, locked), func(t *testing.T) {
				var m memory
				a := m.newArray(widths[0])
				memory := unsafe.Slice((*byte)(a.slot.at), len(a.buckets)*bucketSize)
				for i := range memory {
					memory[i] = 0xff
				}
				if locked && unix.Mlock(memory) != nil {
					memory = nil
				}
				m.release(a)
				b := m.newArray(widths[1])
				if b.slot.at != a.slot.at {
					t.Fatal("the slot is not used anew")
				}
				for i := range b.buckets {
					if *b.buckets[i].plain() != (plainBucket{}) {
						t.Fatalf("bucket %d of %d: %+v", i, len(b.buckets), b.buckets[i].plain())
					}
				}
				if memory != nil {
					_ = unix.Munlock(memory)
				}
			})
		}
	}
}

// Where the system gives no address space, arrays lie on the heap. Those there are stay where they are, and the next ones are
// mapped again when there is some.
func TestNoMappingsAreNoMatter(t *testing.T) {
	if !alone(t) {
		return
	}
	keys := gathered(12_000, 3)
	table := tableOf(keys[:4000])
	table.memory.reserve(64 * mib) // the next one would be as large
	table.memory.left = 0
	refuse(t, 32*mib, func() {
		for i, k := range keys {
			table.Put(k, Removed)
			table.Put(k, Record(i))
		}
	})
	mapped := 0
	for shard := range 3 {
		if table.arrays[shard].Load().slot != nil {
			mapped++
		}
	}
	for i, k := range keys {
		if r, ok := table.Lookup(k); !ok || r != Record(i) {
			t.Fatalf("subject %d: %v, %v", i, r, ok)
		}
	}
	audit(t, table)
	table.replace(0, 8)
	if mapped != 0 || table.arrays[0].Load().slot == nil {
		t.Errorf("%d arrays are mapped that could not be, or one is not that can", mapped)
	}
	audit(t, table)
}

// refuse lets do run while the system gives only some address space more.
func refuse(t *testing.T, some int64, do func()) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = uint64(statm(t, 0) + some)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &limit); err != nil {
		t.Fatal(err)
	}
	do()
	if err := unix.Setrlimit(unix.RLIMIT_AS, &was); err != nil {
		t.Fatal(err)
	}
}

// Also where pages are larger than the least arrays, as on some arm64 and ppc64le kernels.
func TestSlotsAreWholePages(t *testing.T) {
	const least = partitions * bucketSize
	for _, page := range []uintptr{4 << 10, 16 << 10, 64 << 10} {
		for size := uintptr(least); size <= 16*least; size += least {
			if slot := uintptr(1) << classOf(size, page); slot%page != 0 || slot < size || slot >= 2*max(size, page) {
				t.Errorf("an array of %d bytes gets a slot of %d; pages have %d", size, slot, page)
			}
		}
	}
}

// Where each section's memory counts there are two at a time, one after the other in the same two places, whether from a file or
// a stream.
func TestReadingTakesTwoShardsMemory(t *testing.T) {
	_, b := snapshotOf(t, 1_000_000)
	for name, r := range map[string]io.Reader{"file": fileOf(t, b), "stream": bytes.NewReader(b)} {
		var m memory
		if _, _, err := readSnapshot(r, &m, few, anyTable, func(_ Section, a *array) { m.release(a) }); err != nil {
			t.Fatal(err)
		}
		if n := len(freeSlots(&m)); n != 2 {
			t.Errorf("%s: %d places were used", name, n)
		}
	}
}

// A load that fails gives back what it took, once and when nobody writes there any more.
func TestAFailedLoadGivesItsMemoryBack(t *testing.T) {
	_, b := snapshotOf(t, 500_000)
	at, _ := bucketsAt(t, b, 64)
	b[at] ^= 1
	f := fileOf(t, b)
	for _, processors := range []int{1, 2, 7} {
		t.Run(fmt.Sprintf("processors=%d", processors), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			var table Table
			var left uintptr
			var regions int
			for round := range 10 {
				rewind(t, f)
				if _, err := table.ReadFrom(f); err == nil {
					t.Fatal("no error")
				}
				m := &table.memory
				if round == 0 {
					left, regions = m.left, len(*m.held.regions)
				}
				if m.left != left || len(*m.held.regions) != regions {
					t.Fatalf("round %d took more memory", round)
				}
				seen := map[unsafe.Pointer]bool{}
				for _, s := range freeSlots(m) {
					if seen[s.at] {
						t.Fatalf("round %d gave memory back twice", round)
					}
					seen[s.at] = true
					if b := unsafe.Slice((*byte)(s.at), 1<<s.class); bytes.ContainsFunc(b, func(r rune) bool { return r != 0 }) {
						t.Fatalf("round %d: what was given back is written to", round)
					}
				}
			}
		})
	}
}

func freeSlots(m *memory) (slots []slot) {
	for class, free := range m.free {
		for _, at := range free {
			slots = append(slots, slot{m.held, at, class})
		}
	}
	return slots
}
