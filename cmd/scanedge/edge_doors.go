package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// door is a listener that can be shut and opened again. While it is shut the kernel goes on to queue who connects, for whichever process
// has the same listener open, which is how an edge is handed on.
type door struct {
	*net.TCPListener
	shut atomic.Bool
}

// Accept returns [net.ErrClosed] once the door is shut.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.TCPListener.Accept()
	if err != nil && d.shut.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

// Close shuts the door, no more: servers close what they listen on. See end.
func (d *door) Close() error {
	d.shut.Store(true)
	return d.SetDeadline(time.Unix(1, 0))
}

// lastCall is how long who has connected just now may take to be accepted before a listener is closed: the kernel breaks the others off.
const lastCall = 200 * time.Millisecond

// closeSoon is Close, but for those who come until then.
func (d *door) closeSoon() {
	d.shut.Store(true)
	_ = d.SetDeadline(time.Now().Add(lastCall))
}

// open is for when nobody accepts any more.
func (d *door) open() error {
	d.shut.Store(false)
	return d.SetDeadline(time.Time{})
}

// end closes this process's listener; it is open as long as another has it.
func (d *door) end() error { return d.TCPListener.Close() }

// doors are where an edge listens, by name, as in [edgeListening].
type doors map[string]*door

const (
	scanDoor, secureDoor, adminDoor, peerDoor = "scan", "scan_tls", "admin", "peer"
)

// asked is where each door is to be, as the flags say; "" is nowhere.
func (f edgeFlags) asked() map[string]string {
	return map[string]string{scanDoor: f.listen, secureDoor: f.tls, adminDoor: f.admin, peerDoor: f.peer}
}

// listen makes those that are asked for and not there yet, but for those that the process before has.
func (at doors) listen(f edgeFlags, before *predecessor) error {
	asked := f.asked()
	for _, l := range []struct{ name, purpose, flag string }{
		{scanDoor, "scans", "--listen"}, {secureDoor, "scans over TLS", "--tls-listen"},
		{adminDoor, "operators", "--admin-listen"}, {peerDoor, "other edges", "--peer-listen"},
	} {
		addr := asked[l.name]
		if addr == "" || at[l.name] != nil || before.has(l.name, addr) {
			continue // only peers need not be served
		}
		made, err := listen(addr, l.purpose, l.flag)
		if err != nil {
			return err
		}
		at[l.name] = &door{TCPListener: made.(*net.TCPListener)}
	}
	return nil
}

// end closes all of them.
func (at doors) end() {
	for _, d := range at {
		_ = d.end()
	}
}

// files are copies of the doors of those names, to be given to another process; names are those that there are. The caller closes them.
func (at doors) files(wanted []string) (names []string, files []*os.File, err error) {
	for _, name := range wanted {
		d := at[name]
		if d == nil {
			continue
		}
		f, err := copyOf(d.TCPListener)
		if err != nil {
			return names, files, fmt.Errorf("copy the listener at %s: %w", d.Addr(), err)
		}
		names, files = append(names, name), append(files, f)
	}
	return names, files, nil
}

// copyOf is a listener's copy for another process. TCPListener.File would do, but that [os.File.Fd] makes both blocking.
func copyOf(l syscall.Conn) (f *os.File, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	ctlErr := raw.Control(func(of uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, err = syscall.Dup(int(of)); err == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err = errors.Join(ctlErr, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// doorOf is a door of which another process gave the file, which it closes.
func doorOf(f *os.File) (*door, error) {
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		_ = l.Close()
		return nil, fmt.Errorf("it listens on %s, not on TCP", l.Addr().Network())
	}
	return &door{TCPListener: tcp}, nil
}
