package load

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// A listener that takes nobody, and keeps one waiting, turns the others away; the machine counts them.
func TestAFullQueueIsSeen(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	before := listenOverflows()
	address := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.(*syscall.SockaddrInet4).Port}
	for range 4 {
		if c, err := net.DialTimeout("tcp", address.String(), 100*time.Millisecond); err == nil {
			defer c.Close()
		}
	}
	if n := listenOverflows() - before; n == 0 {
		t.Error("no overflow was counted")
	}
}
