package table

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestMeterSeesMemoryThatIsGoneAgain: the peak knows what was resident between two looks, and forgets it with the next.
func TestMeterSeesMemoryThatIsGoneAgain(t *testing.T) {
	const size = 256 << 20
	m, err := newMeter()
	if err != nil {
		t.Fatal(err)
	}
	before := m.now()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < size; i += 4096 {
		b[i] = 1
	}
	during := m.now()
	if err := unix.Munmap(b); err != nil {
		t.Fatal(err)
	}
	after, peak, next := m.now(), m.peak(), m.peak()
	const near = size * 9 / 10
	if during-before < near || during-after < near || peak-before < near || peak-next < near {
		t.Errorf("before %d, during %d, after %d; peak %d, next %d", before, during, after, peak, next)
	}
}

func TestPin(t *testing.T) {
	allowed := func() (set unix.CPUSet) {
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			t.Fatal(err)
		}
		return set
	}
	unpinOuter := pin(0) // keeps this goroutine on one thread
	defer unpinOuter()
	outer := allowed()
	if outer.Count() != 1 {
		t.Errorf("pinned to %d processors", outer.Count())
	}
	unpin := pin(5)
	if inner := allowed(); inner != outer {
		t.Errorf("of one processor the sixth is %v, not %v", inner, outer)
	}
	unpin()
	if allowed() != outer {
		t.Error("it was not set back")
	}
}

func TestMachine(t *testing.T) {
	free, ok := memoryFree()
	all, ok2 := memoryInAll()
	if !ok || !ok2 || free == 0 || free > all {
		t.Errorf("%d of %d bytes are free", free, all)
	}
	if disk, ok := diskFree(t.TempDir()); !ok || disk == 0 {
		t.Errorf("%d bytes of disk are free", disk)
	}
	if _, ok := diskFree("/nowhere"); ok {
		t.Error("a folder that is not there has room")
	}
}
