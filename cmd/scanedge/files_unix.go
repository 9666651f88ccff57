//go:build unix

package main

import "syscall"

// openFiles is how many files this process may have open. Go has raised it to the hard limit by now.
func openFiles() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1 << 20
	}
	return uint64(l.Cur)
}
