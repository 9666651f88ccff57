package load

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// portLater leaves the choice of a port to the connect, which knows the other side: a bind alone would take ports away from all
// connections of an address, of which there are some 28,000.
func portLater(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err == nil {
		err = failed
	}
	return err
}

// nap sleeps by a timer of the kernel's own. The runtime rounds what it has to wake for up to milliseconds, so all of a process
// that sleeps wakes with the dispatcher, just when most is under way.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&t, nil) // a signal ends it early, which is as good a time as another
}
