package table

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// meter reads how much memory of this process is resident.
type meter struct {
	statm, status, clear *os.File
	text                 [4096]byte
}

func newMeter() (*meter, error) {
	m := new(meter)
	var err error
	for _, f := range []struct {
		to    **os.File
		name  string
		flags int
	}{{&m.statm, "statm", os.O_RDONLY}, {&m.status, "status", os.O_RDONLY}, {&m.clear, "clear_refs", os.O_WRONLY}} {
		if *f.to, err = os.OpenFile("/proc/self/"+f.name, f.flags, 0); err != nil {
			return nil, fmt.Errorf("resident memory can't be read: %w", err)
		}
	}
	m.peak() // so that the next one is of the time from here
	return m, nil
}

// now is the resident memory in bytes.
func (m *meter) now() int64 {
	n, _ := m.statm.ReadAt(m.text[:], 0)
	fields := bytes.Fields(m.text[:n])
	if len(fields) < 2 {
		return 0
	}
	return number(fields[1]) * int64(os.Getpagesize())
}

// peak is the most resident memory that there was at any moment since the last call, by the kernel's own high-water mark: no
// sampling could see the copy that a shard makes of itself as it grows.
func (m *meter) peak() int64 {
	n, _ := m.status.ReadAt(m.text[:], 0)
	_, after, _ := bytes.Cut(m.text[:n], []byte("VmHWM:"))
	line, _, _ := bytes.Cut(after, []byte(" kB"))
	_, _ = m.clear.WriteString("5") // sets the mark to what is resident now
	return number(bytes.TrimSpace(line)) << 10
}

func number(digits []byte) int64 {
	n, _ := strconv.ParseInt(string(digits), 10, 64)
	return n
}

// pin binds the calling goroutine to the i-th of the processors that it may use, until it is unpinned.
func pin(i int) (unpin func()) {
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if unix.SchedGetaffinity(0, &all) == nil && all.Count() > 0 {
		one.Set(nth(&all, i%all.Count()))
		_ = unix.SchedSetaffinity(0, &one) // where it is refused the scheduler decides
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &all)
		runtime.UnlockOSThread()
	}
}

func nth(set *unix.CPUSet, i int) int {
	for cpu := 0; ; cpu++ {
		if set.IsSet(cpu) {
			if i == 0 {
				return cpu
			}
			i--
		}
	}
}

// memoryFree is how many bytes a new process may use before others have to give way, and whether that is known.
func memoryFree() (uint64, bool) { return meminfo("MemAvailable:") }

func memoryInAll() (uint64, bool) { return meminfo("MemTotal:") }

func meminfo(name string) (uint64, bool) {
	kib, ok := field("/proc/meminfo", name)
	n := number(bytes.TrimSuffix(kib, []byte(" kB")))
	return uint64(n) << 10, ok && n > 0
}

// field is the rest of the first line in a file that begins with a name.
func field(file, name string) ([]byte, bool) {
	text, _ := os.ReadFile(file)
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return bytes.TrimSpace(rest), true
		}
	}
	return nil, false
}

// diskFree is how many bytes fit into a folder, and whether that is known.
func diskFree(dir string) (uint64, bool) {
	var s unix.Statfs_t
	err := unix.Statfs(dir, &s)
	return s.Bavail * uint64(s.Bsize), err == nil
}

// processor is the processor's name, or "".
func processor() string {
	rest, _ := field("/proc/cpuinfo", "model name")
	return string(bytes.TrimLeft(rest, "\t: "))
}
