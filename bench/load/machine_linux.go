package load

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// isPortless tells whether a connection failed because no local port was left.
func isPortless(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }
