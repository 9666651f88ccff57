package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// handoverVersion is the version of what two processes say to one another at DIR/handover.sock. A line of JSON each:
//
//	new: version, pid, incarnation                                  I am to take over
//	old: version, incarnation, since, asked, at; with the lock      the folder is yours, with fresh tables
//	new: take                                                       I am ready, give me these listeners
//	old: doors, shows; with the listeners                           both of us answer from here on
//	new: serving                                                    you need not any more
//	new: stop                                                       (it was told to end: do not come back)
//
// That the connection breaks says that the other has died. Nobody but the folder's user can connect.
const handoverVersion = 1

// handoverWord is a line of it.
type handoverWord struct {
	Version     int               `json:"version,omitempty"`
	PID         int               `json:"pid,omitempty"`
	Incarnation string            `json:"incarnation,omitempty"`
	Since       int64             `json:"since,omitempty"` // Unix microseconds
	Asked       map[string]string `json:"asked,omitempty"` // what the listen flags said, by door
	At          *edgeListening    `json:"at,omitempty"`
	Take        []string          `json:"take,omitempty"`
	Doors       []string          `json:"doors,omitempty"`
	Shows       map[string]uint64 `json:"shows,omitempty"` // offsets, by issuer
	Serving     bool              `json:"serving,omitempty"`
	Stop        bool              `json:"stop,omitempty"`
	Refused     string            `json:"refused,omitempty"`
	Files       int               `json:"files,omitempty"` // that come with it; the kernel does not keep them to their line
}

// handoverConn is a connection between the two. Each side reads from one goroutine at a time.
type handoverConn struct {
	*net.UnixConn
	read  []byte     // and not yet returned
	files []*os.File // likewise
	write sync.Mutex
}

// say sends a word, with files of which the other gets copies.
func (c *handoverConn) say(w handoverWord, files ...*os.File) error {
	w.Files = len(files)
	line, err := json.Marshal(w)
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	c.write.Lock()
	defer c.write.Unlock()
	_, _, err = c.WriteMsgUnix(append(line, '\n'), rights, nil)
	return err
}

// hear returns the next word, and the files that came with it, which are the caller's. io.EOF: the other is gone.
func (c *handoverConn) hear() (w handoverWord, files []*os.File, err error) {
	for {
		if line, rest, whole := bytes.Cut(c.read, []byte{'\n'}); whole {
			c.read = rest
			if err := json.Unmarshal(line, &w); err != nil {
				return w, nil, fmt.Errorf("a line is not what was expected: %w", err)
			}
			if w.Files < 0 || w.Files > len(c.files) {
				return w, nil, fmt.Errorf("%d files came with a line that speaks of %d", len(c.files), w.Files)
			}
			files, c.files = c.files[:w.Files], c.files[w.Files:]
			if w.Refused != "" {
				return w, files, errors.New(w.Refused)
			}
			return w, files, nil
		}
		if err := c.more(); err != nil {
			return w, nil, err
		}
	}
}

// hearNoFiles is hear where none are expected.
func (c *handoverConn) hearNoFiles() (handoverWord, error) {
	w, files, err := c.hear()
	closeAll(files)
	return w, err
}

// more reads what is there.
func (c *handoverConn) more() error {
	b, oob := make([]byte, 16<<10), make([]byte, syscall.CmsgSpace(4*16))
	n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return err
	}
	c.read = append(c.read, b[:n]...)
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return err
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			c.files = append(c.files, os.NewFile(uintptr(fd), "given"))
		}
	}
	return nil
}

func handoverPath(dir string) string { return filepath.Join(dir, "handover.sock") }

// listenForSuccessors listens where a process that takes over asks. The path is left there at the end: it may be another's by then.
func listenForSuccessors(dir string) (*net.UnixListener, error) {
	path := handoverPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}) // the folder is its user's alone
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// callPredecessor connects to the process that runs in the folder; nil if there is none.
func callPredecessor(dir string) (*handoverConn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: handoverPath(dir), Net: "unix"})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the process in %q to hand over: %w", dir, err)
	}
	return &handoverConn{UnixConn: c}, nil
}
