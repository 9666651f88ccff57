package load

import (
	"bufio"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tickTime is what /proc/stat counts in, on all that Go runs on.
const tickTime = 10 * time.Millisecond

// processorTimes reads how long processors have worked since the machine's start, and this process since its own.
func processorTimes() (t processorTime, ok bool) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return t, false
	}
	t.own = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	f, err := os.Open("/proc/stat")
	if err != nil {
		return t, false
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		return t, false
	}
	return t, t.parse(line)
}

// parse reads "cpu user nice system idle iowait irq softirq steal …".
func (t *processorTime) parse(line string) bool {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return false
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return false
		}
		d := time.Duration(n) * tickTime
		t.all += d
		switch i {
		case 3, 4:
			t.idle += d
		case 7:
			t.stolen += d
		}
	}
	return true
}

// listenOverflows reads how many connections have found the queue of a listener on this machine full since its start, which makes
// who dials wait a second or more; 0 where the system does not tell.
func listenOverflows() uint64 {
	b, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return 0
	}
	var names []string
	for line := range strings.Lines(string(b)) { // names, and their values on the next line
		fields := strings.Fields(line)
		i := slices.Index(names, "ListenOverflows")
		if i >= 0 && i < len(fields) && fields[0] == names[0] {
			n, _ := strconv.ParseUint(fields[i], 10, 64)
			return n
		}
		names = fields
	}
	return 0
}

// isPortless tells whether a connection failed because no local port was left.
func isPortless(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }

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
