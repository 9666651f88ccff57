package fleet

import "syscall"

// childAttr asks the kernel for SIGTERM when the fleet's process dies, be it by kill -9.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
