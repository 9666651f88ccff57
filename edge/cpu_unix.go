//go:build unix

package edge

import (
	"syscall"
	"time"
)

// usedCPU returns how long processors have worked for this process.
func usedCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
