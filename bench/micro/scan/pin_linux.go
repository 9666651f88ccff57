package scan

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/scanedge/scanedge/bench/micro/pin"
)

// The processors, counted among those that this process may use.
const (
	serverCore = 0
	clientCore = 1
)

// enough reports whether there is a processor for the server and one for the load.
func enough() error {
	n, err := pin.Processors()
	if err != nil {
		return err
	}
	if n < 2 {
		return fmt.Errorf("%d processor may be used; the server needs one and the load another", n)
	}
	return nil
}

func pinned(core int) (unpin func(), err error) { return pin.To(core) }

func startPinned(cmd *exec.Cmd) error { return pin.Start(cmd, serverCore) }

// polled is a process's standard input as the runtime's poller reads it: a thread that waits in a read of its own may keep the one
// processor from all others for seconds.
func polled(in io.Reader) io.Reader {
	f, ok := in.(*os.File)
	if !ok || unix.SetNonblock(int(f.Fd()), true) != nil {
		return in
	}
	return os.NewFile(f.Fd(), f.Name())
}
