package main

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin puts this process, and those that it starts from now on, on one processor; if there is but one, or it is refused, the scheduler decides.
func pin(processor int) {
	if runtime.NumCPU() == 1 && processor > 0 {
		return
	}
	var set unix.CPUSet
	set.Set(processor)
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetaffinity(id, &set)
		}
	}
}
