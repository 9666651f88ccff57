//go:build !linux

package load

import (
	"syscall"
	"time"
)

func portLater(string, string, syscall.RawConn) error { return nil }

func nap(d time.Duration) { time.Sleep(d) }
