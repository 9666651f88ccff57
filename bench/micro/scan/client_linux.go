package scan

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// warm is the time before the load counts.
const warm = 150 * time.Millisecond

// run asks for so long, on a processor of its own, and returns how many answers came a second.
func (l *load) run(core int, slice time.Duration) (rate float64, err error) {
	unpin, err := pinned(core)
	if err != nil {
		return 0, err
	}
	defer unpin()
	poll, err := unix.EpollCreate1(0)
	if err != nil {
		return 0, fmt.Errorf("epoll: %w", err)
	}
	defer unix.Close(poll)
	conns := map[int32]*conn{}
	for range l.conns {
		c, err := dial(l.addr)
		if err != nil {
			return 0, err
		}
		defer unix.Close(c.fd)
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}); err != nil {
			return 0, fmt.Errorf("epoll: %w", err)
		}
		conns[int32(c.fd)] = c
		if err := c.send(l); err != nil {
			return 0, err
		}
	}
	return l.count(poll, conns, slice)
}

// silence is how long no answer at all may come: a server with one processor may have to wait for it, on a machine that is busy.
const silence = 30 * time.Second

// count serves the connections until it has counted for so long.
func (l *load) count(poll int, conns map[int32]*conn, slice time.Duration) (rate float64, err error) {
	events := make([]unix.EpollEvent, len(conns))
	answers, from := 0, time.Now().Add(warm)
	counting := false
	for {
		n, err := unix.EpollWait(poll, events, int(silence.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("epoll: %w", err)
		}
		if n == 0 {
			return 0, fmt.Errorf("no answer for %v", silence)
		}
		for _, e := range events[:n] {
			got, err := conns[e.Fd].serve(l)
			if err != nil {
				return 0, err
			}
			answers += got
		}
		switch passed := time.Since(from); {
		case !counting && passed >= 0:
			counting, answers, from = true, 0, time.Now()
		case counting && passed >= slice:
			return float64(answers) / passed.Seconds(), nil
		}
	}
}

// conn is a connection of the load's.
type conn struct {
	fd      int
	out, in []byte
	filled  int // bytes of in that came
	waits   int // answers that are to come
}

func dial(addr string) (*conn, error) {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("a socket: %w", err)
	}
	to := &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20) // a request is sent whole
	if err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.Connect(fd, to), unix.SetNonblock(fd, true)); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	return &conn{fd: fd, in: make([]byte, 4<<10)}, nil
}

// send asks anew.
func (c *conn) send(l *load) error {
	c.out, c.waits = l.ask(c.out[:0]), l.answers
	return c.write()
}

func (c *conn) write() error {
	for rest := c.out; len(rest) > 0; {
		n, err := unix.Write(c.fd, rest)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}, 1000)
			continue
		}
		if err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		rest = rest[n:]
	}
	return nil
}

// serve takes what came, and asks anew if that was all.
func (c *conn) serve(l *load) (answers int, err error) {
	if answers, err = c.take(l); err == nil && c.waits == 0 {
		err = c.send(l)
	}
	return answers, err
}

// take takes what came, and returns how many answers it ended.
func (c *conn) take(l *load) (answers int, err error) {
	n, err := unix.Read(c.fd, c.in[c.filled:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("reading: %w", err)
	case n == 0:
		return 0, errors.New("the server closed a connection")
	}
	c.filled += n
	at := 0
	for at < c.filled {
		n, err := l.length(c.in[at:c.filled])
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		at += n
		answers++
	}
	c.filled = copy(c.in, c.in[at:c.filled])
	if c.filled == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	c.waits -= answers
	return answers, nil
}

// exchange asks once and waits for the answers.
func (c *conn) exchange(l *load) error {
	if err := c.send(l); err != nil {
		return err
	}
	for c.waits > 0 {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, 5000); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if _, err := c.take(l); err != nil {
			return err
		}
	}
	return nil
}

func closeConn(c *conn) { _ = unix.Close(c.fd) }
