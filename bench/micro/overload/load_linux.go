package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const request = "GET /v1/scan/demo:g HTTP/1.1\r\nHost: e\r\nAuthorization: Bearer k\r\n\r\n"

// load is the scanners: connections that stay, on one thread that never sleeps. So the edge spends nothing on waking them, which across a
// network would be no work of its own, and no scan is late because its scanner was.
type load struct {
	to     *unix.SockaddrInet4
	poll   int
	lines  map[int32]*line
	idle   []*line // the one that has been longest is the first
	events [256]unix.EpollEvent
	buf    [4096]byte
}

// line is a connection. What is asked on it counts for the load under which it was due, even if it is answered under the next one.
type line struct {
	fd   int
	got  []byte // of an answer that is not all there
	due  time.Time
	of   *outcomes
	rude bool // asks again as soon as it was answered, until the time of its load is over
	ends time.Time
}

func connect(addr string, lines int) (*load, error) {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	l := &load{to: &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}, lines: map[int32]*line{}}
	if l.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for range lines {
		if err := l.dial(); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, l.greet()
}

// greet asks once over each connection, so that the edge has made what it keeps for one.
func (l *load) greet() error {
	o := newOutcomes()
	for range len(l.lines) {
		if err := l.ask(&line{due: time.Now(), of: o}); err != nil {
			return err
		}
		for len(l.idle) < len(l.lines)-8 {
			if err := l.hear(); err != nil {
				return err
			}
		}
	}
	return l.rest()
}

// dial adds one more connection, which is idle.
func (l *load) dial() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("a socket: %w", err)
	}
	n := &line{fd: fd}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.Connect(fd, l.to), unix.SetNonblock(fd, true),
		unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("connecting to the edge: %w", err)
	}
	l.lines[int32(fd)] = n
	l.idle = append(l.idle, n)
	return nil
}

func (l *load) close() {
	for _, n := range l.lines {
		_ = unix.Close(n.fd)
	}
	_ = unix.Close(l.poll)
	runtime.UnlockOSThread()
}

// open has scans come at random at a rate, whatever becomes of them. Each goes over the connection that has been idle longest: who was refused
// goes away, and the next who comes to that scanner comes as late as can be. A scan for which none is idle is missed.
func (l *load) open(rate float64, d time.Duration) (*outcomes, error) {
	o := newOutcomes()
	began := time.Now()
	for next := time.Duration(0); ; {
		passed := time.Since(began)
		for ; next <= passed && next < d; next += time.Duration(rand.ExpFloat64() / rate * float64(time.Second)) {
			if o.due++; len(l.idle) == 0 {
				o.missed++
				continue
			}
			if passed-next > time.Millisecond {
				o.late++
			}
			if err := l.ask(&line{due: began.Add(next), of: o}); err != nil {
				return nil, err
			}
		}
		if passed >= d {
			return o, nil
		}
		if err := l.hear(); err != nil {
			return nil, err
		}
	}
}

// closed has so many connections ask again as soon as they are answered.
func (l *load) closed(lines int, d time.Duration) (*outcomes, error) {
	o, began := newOutcomes(), time.Now()
	for range min(lines, len(l.idle)) {
		o.due++
		if err := l.ask(&line{due: began, of: o, rude: true, ends: began.Add(d)}); err != nil {
			return nil, err
		}
	}
	for time.Since(began) < d {
		if err := l.hear(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// rest waits until all that was asked is answered, for some seconds.
func (l *load) rest() error {
	for began := time.Now(); len(l.idle) < len(l.lines) && time.Since(began) < 5*time.Second; {
		if err := l.hear(); err != nil {
			return err
		}
	}
	for _, n := range l.lines {
		if n.of != nil {
			n.of.other++
		}
	}
	return nil
}

// ask sends a scan, of which how says when it was due and what it counts for, over the connection that has been idle longest.
func (l *load) ask(how *line) error {
	n := l.idle[0]
	l.idle = l.idle[1:]
	n.due, n.of, n.rude, n.ends = how.due, how.of, how.rude, how.ends
	return l.send(n)
}

func (l *load) send(n *line) error {
	if _, err := unix.Write(n.fd, []byte(request)); err != nil {
		return l.broke(n)
	}
	return nil
}

// hear takes the answers that are there.
func (l *load) hear() error {
	many, err := unix.EpollWait(l.poll, l.events[:], 0)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, e := range l.events[:max(many, 0)] {
		if err := l.take(l.lines[e.Fd]); err != nil {
			return err
		}
	}
	return nil
}

// take reads from a connection, and ends its scan if that was the rest of an answer.
func (l *load) take(n *line) error {
	m, err := unix.Read(n.fd, l.buf[:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil || m == 0 || n.of == nil {
		return l.broke(n)
	}
	if n.got = append(n.got, l.buf[:m]...); !whole(n.got) {
		return nil
	}
	now, status := time.Now(), statusOf(n.got)
	n.of.count(status, now.Sub(n.due))
	n.got = n.got[:0]
	if n.rude && now.Before(n.ends) {
		n.due = now
		n.of.due++
		return l.send(n)
	}
	n.of = nil
	l.idle = append(l.idle, n)
	return nil
}

// broke puts a new connection in the place of one that the edge closed.
func (l *load) broke(n *line) error {
	if n.of != nil {
		n.of.other++
	}
	for i, idle := range l.idle {
		if idle == n {
			l.idle = append(l.idle[:i], l.idle[i+1:]...)
			break
		}
	}
	delete(l.lines, int32(n.fd))
	_ = unix.Close(n.fd)
	return l.dial()
}

func statusOf(answer []byte) int {
	return int(answer[9]-'0')*100 + int(answer[10]-'0')*10 + int(answer[11]-'0')
}

// whole reports whether an answer with a Content-Length is all there.
func whole(b []byte) bool {
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return false
	}
	_, length, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	n := 0
	for i := 0; ok && i < len(length) && length[i] >= '0' && length[i] <= '9'; i++ {
		n = 10*n + int(length[i]-'0')
	}
	return len(body) >= n
}
