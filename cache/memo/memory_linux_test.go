package memo

import (
	"encoding/binary"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// resident is this process's resident memory as the kernel counts it, garbage given back first.
func resident(t *testing.T) int {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestFullMemosStayWithinTheirMemory(t *testing.T) {
	const size, slack = 32 * mib, 12 * mib // for the index and for what the test itself takes
	value, n := make([]byte, 4000), uint64(0)
	put := func(m *Memo, laps int) {
		for range laps * size / len(value) {
			n++
			m.Put(binary.LittleEndian.AppendUint64(nil, n), value, 1)
		}
	}
	start := resident(t)
	for round := range 3 { // the memory that one gives back is the next one's
		m := New(size)
		for range 3 {
			put(m, 3)
			if grown := resident(t) - start; grown > size+slack {
				t.Errorf("round %d: %d MiB more after %d puts", round, grown/mib, n)
			}
			s := m.Stats()
			if s.Bytes > size || s.Entries > uint64(2*size/len(value)) {
				t.Errorf("round %d: %+v", round, s)
			}
		}
		m.Reset()
	}
}
