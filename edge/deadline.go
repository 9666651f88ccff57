package edge

import (
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// How long a connection may take.
const (
	readWithin  = 10 * time.Second // for a request's header, from its first byte; for the first one's, from when it was opened
	idleWithin  = 2 * time.Minute  // for the first byte of the next request
	writeWithin = 30 * time.Second // to take an answer, which is small, and held in memory until then

	sweepEvery = time.Second
)

// A connection whose request was answered lets all others go first that can, before it reads on. So while the edge is busy its next request
// is there by then, and is not looked for in vain first, and waited for: a tenth of what a scan costs. One time in so many it does not: as
// long as somebody can go, the runtime looks only each 10 ms for those that the network wakes, so all must come to rest now and then.
const neverYields = 8

// deadline is until when what a connection does now must be done. The runtime's own deadlines are timers, and set three times a request
// they cost half as much as the scan: a connection only writes here how long it may take, by a clock that the door's sweep sets once a
// second, and the sweep ends those that are late. So it ends after its time, by two sweeps at most.
//
// It belongs to the goroutine that reads and writes; only the sweep comes from another.
type deadline struct {
	clock *atomic.Int64 // the door's, in nanoseconds
	due   atomic.Int64  // by that clock; 0: whenever
}

// late is the due of what was ended.
const late = -1

// set begins something that may take so long. It fails when what was before has been ended.
func (d *deadline) set(within time.Duration) error {
	return d.put(d.clock.Load() + int64(within+sweepEvery))
}

func (d *deadline) put(due int64) error {
	if d.due.Swap(due) != late {
		return nil
	}
	d.due.Store(late)
	return os.ErrDeadlineExceeded
}

// ends reports whether it must end what is under way at now. It says so once.
func (d *deadline) ends(now int64) bool {
	due := d.due.Load()
	return due > 0 && due < now && d.due.CompareAndSwap(due, late)
}

// Read reads, and begins the time of what is waited for: a request, from when the one before was answered, then its header, from its first
// byte. How long a body may take is said by who reads it ([conn.SetReadDeadline]).
func (c *conn) Read(b []byte) (n int, err error) {
	if c.handled != c.awaited { // and it is answered, or about to be: then another is there already
		c.awaited, c.waiting = c.handled, true
		if err := c.deadline.set(idleWithin); err != nil {
			return 0, err
		}
		if c.handled%neverYields != 0 {
			runtime.Gosched()
		}
	}
	n, err = c.Conn.Read(b)
	if c.waiting && n > 0 {
		c.waiting = false
		if err := c.deadline.set(readWithin); err != nil {
			return 0, err
		}
	}
	return n, err
}

// Write writes within its time. What is read after it has what was left, for it may be part of a handshake, unless a request was answered.
func (c *conn) Write(b []byte) (n int, err error) {
	before := c.deadline.due.Load()
	if err := c.deadline.set(writeWithin); err != nil {
		return 0, err
	}
	if n, err = c.Conn.Write(b); err == nil && c.awaited == c.handled {
		err = c.deadline.put(before)
	}
	return n, err
}

// SetReadDeadline says until when what is read now must have come, a sweep or two later; the zero time is never.
func (c *conn) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		return c.deadline.put(0)
	}
	return c.deadline.set(time.Until(t))
}
