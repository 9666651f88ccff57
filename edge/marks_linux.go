package edge

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// markMemory returns lines of zeros, in memory outside of the Go heap that lasts as long as the process: on the heap they would let the
// collector wait until as much again is garbage. The system gives a page when the first mark falls on it.
func markMemory(lines int) []markLine {
	at, err := unix.MmapPtr(-1, 0, nil, uintptr(lines)*unsafe.Sizeof(markLine{}), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil { // no address space: the heap will do, or will say so itself
		return make([]markLine, lines)
	}
	return unsafe.Slice((*markLine)(at), lines)
}
