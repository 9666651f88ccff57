//go:build unix && !linux

package fleet

import "syscall"

// childAttr has no word for the death of a parent here: after kill -9 of the fleet the children run on until stopped.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
