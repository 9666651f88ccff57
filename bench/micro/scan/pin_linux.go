package scan

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// The processors, counted among those that this process may use.
const (
	serverCore = 0
	clientCore = 1
)

// enough reports whether there is a processor for the server and one for the load.
func enough() error {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("asking which processors may be used: %w", err)
	}
	if n := all.Count(); n < 2 {
		return fmt.Errorf("%d processor may be used; the server needs one and the load another", n)
	}
	return nil
}

// pin binds the calling goroutine to a processor until it is unpinned. Processes that are started meanwhile stay there.
func pin(core int) (unpin func(), err error) {
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

// startPinned starts a command on the servers' processor alone. It does not outlive this process, and is told of its end by no terminal.
func startPinned(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	unpin, err := pin(serverCore)
	if err != nil {
		return err
	}
	defer unpin()
	return cmd.Start()
}

// polled is a process's standard input as the runtime's poller reads it: a thread that waits in a read of its own may keep the one
// processor from all others for seconds.
func polled(in io.Reader) io.Reader {
	f, ok := in.(*os.File)
	if !ok || unix.SetNonblock(int(f.Fd()), true) != nil {
		return in
	}
	return os.NewFile(f.Fd(), f.Name())
}
