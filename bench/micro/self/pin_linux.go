package self

import (
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The processors, counted among those that this process may use.
const (
	serverCore = 0
	loadCore   = 1
)

// startPinned starts a command on one processor alone. It does not outlive this process, and is told of its end by no terminal.
func startPinned(cmd *exec.Cmd, core int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("asking which processors may be used: %w", err)
	}
	if n := all.Count(); n < 2 {
		return fmt.Errorf("%d processor may be used; the server needs one and the generator another", n)
	}
	for cpu, seen := 0, 0; seen <= core; cpu++ {
		if all.IsSet(cpu) {
			if seen == core {
				one.Set(cpu)
			}
			seen++
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("pinning to a processor: %w", err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &all) }()
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	return cmd.Start()
}

// processorTime is what this process has taken of its processor.
func processorTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it can't fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
