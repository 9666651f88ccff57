package fleet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// lookEvery is how often it is looked who is the process of a child by now.
const lookEvery = 50 * time.Millisecond

// alive reports whether any process holds the child's data folder. Its pid would not do: it may be one that nobody has waited for.
func (c *child) alive() bool {
	lock, err := durable.Lock(filepath.Join(c.dir, "lock"))
	if err == nil {
		lock.Close()
	}
	return errors.Is(err, durable.ErrLocked)
}

// successor is what the process says that has taken over from the one of that pid, which has ended.
func (c *child) successor(of int) (l listening, ok bool) {
	l, ok = c.listening()
	return l, ok && l.PID != of && c.alive()
}

// follow watches a process that has taken over from the child, and is none of this one's, and those that take over from it. It returns why
// the last has ended, or nil when ctx ended it.
func (c *child) follow(ctx context.Context, pid int, f *Fleet) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for c.alive() {
		select {
		case <-ctx.Done():
			c.endSuccessor(pid, f)
			return nil
		case <-look.C:
			if l, ok := c.listening(); ok && l.PID != pid {
				pid = l.PID
				c.listens(l, f)
			}
		}
	}
	return fmt.Errorf("%s (pid %d, which had taken over) ended", c.name, pid)
}

// endSuccessor is end for a process that has taken over. It returns when the child's folder is free, or the child's own process, which
// may be finishing something, alone holds it.
func (c *child) endSuccessor(pid int, f *Fleet) {
	_ = syscall.Kill(pid, syscall.SIGTERM)
	for deadline := time.Now().Add(endWait); c.alive(); time.Sleep(lookEvery) {
		if time.Now().After(deadline) {
			f.note("%s (pid %d) did not end within %v of SIGTERM; killing it", c.name, pid, endWait)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
}
