//go:build !linux

package load

import (
	"syscall"
	"time"
)

func processorTimes() (t processorTime, ok bool) { return t, false }

func listenOverflows() uint64 { return 0 }

func isPortless(error) bool { return false }

func portLater(string, string, syscall.RawConn) error { return nil }

func nap(d time.Duration) { time.Sleep(d) }
