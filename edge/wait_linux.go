package edge

import (
	"encoding/binary"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lastDataRecv is where struct tcp_info has tcpi_last_data_recv: the milliseconds since the last bytes came, as exact as the kernel's
// ticks (4 ms at 250 a second).
const lastDataRecv = 52

// waitProbe asks the kernel how long a connection's last bytes have been there. That is how long a request has waited to be served,
// wherever it did: in the socket's buffer, among the goroutines that could run, or for a processor. For one goroutine at a time.
type waitProbe struct {
	raw  syscall.RawConn
	ask  func(fd uintptr)
	info [lastDataRecv + 4]byte
	n    uint32
}

func newWaitProbe(c net.Conn) *waitProbe {
	p := new(waitProbe)
	if tcp, ok := c.(*net.TCPConn); ok {
		p.raw, _ = tcp.SyscallConn() // only a nil connection has none
	}
	p.ask = func(fd uintptr) {
		p.n = uint32(len(p.info))
		if _, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
			uintptr(unsafe.Pointer(&p.info)), uintptr(unsafe.Pointer(&p.n)), 0); errno != 0 {
			p.n = 0
		}
	}
	return p
}

// waited returns how long ago the last bytes came, and false if the kernel does not say.
func (p *waitProbe) waited() (time.Duration, bool) {
	if p.raw == nil || p.raw.Control(p.ask) != nil || p.n < uint32(len(p.info)) {
		return 0, false
	}
	return time.Duration(binary.NativeEndian.Uint32(p.info[lastDataRecv:])) * time.Millisecond, true
}
