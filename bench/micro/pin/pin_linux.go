// Package pin gives what is measured a processor of its own, on Linux. Processors are counted among those that this process may use.
package pin

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Processors returns how many there are.
func Processors() (int, error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return 0, fmt.Errorf("asking which processors may be used: %w", err)
	}
	return all.Count(), nil
}

// To binds the calling goroutine to a processor, 0 for the first, of which there must be one, until it is unpinned. Processes that are started meanwhile stay there.
func To(core int) (unpin func(), err error) {
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err = unix.SchedGetaffinity(0, &all); err == nil {
		for cpu, seen := 0, 0; seen <= core; cpu++ {
			if all.IsSet(cpu) {
				if seen == core {
					one.Set(cpu)
				}
				seen++
			}
		}
		err = unix.SchedSetaffinity(0, &one)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("pinning to a processor: %w", err)
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &all)
		runtime.UnlockOSThread()
	}, nil
}

// Start starts a command on one processor alone. It does not outlive this process, and is told of its end by no terminal.
func Start(cmd *exec.Cmd, core int) error {
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	unpin, err := To(core)
	if err != nil {
		return err
	}
	defer unpin()
	return cmd.Start()
}
