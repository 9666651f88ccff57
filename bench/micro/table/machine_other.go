//go:build !linux

package table

import (
	"errors"
	"runtime"
)

type meter struct{}

func newMeter() (*meter, error) { return nil, errors.New("resident memory is read on Linux alone") }

func (*meter) now() int64  { return 0 }
func (*meter) peak() int64 { return 0 }

// pin keeps the calling goroutine on one thread; on which processor that is, the system decides.
func pin(int) (unpin func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

func memoryFree() (uint64, bool)     { return 0, false }
func memoryInAll() (uint64, bool)    { return 0, false }
func diskFree(string) (uint64, bool) { return 0, false }
func processor() string              { return "" }
