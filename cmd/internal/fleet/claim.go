package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// orphanWait is how long a start waits for the processes of a fleet that was killed. They got SIGTERM when it died.
const orphanWait = 15 * time.Second

// claim is the right to run a fleet in a folder, held by two locks of flock(2). The kernel drops a lock when the last
// process that holds the open file is gone, so neither outlives a crash.
type claim struct {
	fleet    *os.File // up.lock: held by the fleet's own process
	children *os.File // children.lock: inherited by every child, hence held until the last one is gone
}

// claimDir makes the folder and claims it. A running fleet there is an error at once; children that a killed fleet left are
// waited for, since they still hold ports and the log. What the last fleet said of itself is removed.
func claimDir(ctx context.Context, dir string, note func(string, ...any)) (*claim, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the fleet's folder cannot be made (%w); choose one where you may write", err)
	}
	c := new(claim)
	var err error
	if c.fleet, err = durable.Lock(filepath.Join(dir, "up.lock")); errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("a fleet is already up in %s; stop it first, or choose another folder", dir)
	} else if err != nil {
		return nil, fmt.Errorf("the fleet's folder cannot be used (%w); choose one where you may write", err)
	}
	if err := c.awaitOrphans(ctx, dir, note); err != nil {
		c.release()
		return nil, err
	}
	for _, name := range []string{UpFile, codeKeysFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.release()
			return nil, fmt.Errorf("removing what the last fleet left: %w", err)
		}
	}
	return c, nil
}

func (c *claim) awaitOrphans(ctx context.Context, dir string, note func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, orphanWait)
	defer cancel()
	path := filepath.Join(dir, "children.lock")
	for told := false; ; told = true {
		var err error
		if c.children, err = durable.Lock(path); !errors.Is(err, durable.ErrLocked) {
			return err
		}
		if !told {
			note("waiting for the processes of the fleet that was killed here to end")
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("processes of an earlier fleet still run in %s; end them, then start again", dir)
		}
	}
}

// release gives the folder up. The files stay: to remove a lock's file would let two hold it.
func (c *claim) release() {
	for _, f := range []*os.File{c.children, c.fleet} {
		if f != nil {
			f.Close()
		}
	}
}

// sleep waits for d and says whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
