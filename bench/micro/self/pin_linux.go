package self

import (
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scanedge/scanedge/bench/micro/pin"
)

// The processors, counted among those that this process may use.
const (
	serverCore = 0
	loadCore   = 1
)

// startPinned starts a command on one processor alone, if there are two.
func startPinned(cmd *exec.Cmd, core int) error {
	n, err := pin.Processors()
	if err != nil {
		return err
	}
	if n < 2 {
		return fmt.Errorf("%d processor may be used; the server needs one and the generator another", n)
	}
	return pin.Start(cmd, core)
}

// processorTime is what this process has taken of its processor.
func processorTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it can't fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
