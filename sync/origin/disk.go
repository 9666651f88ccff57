package origin

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/scanedge/scanedge/sync/deltalog"
)

// maxReserve is how much of the log's disk pushes leave alone, in bytes, or a twentieth of a small disk: room for beats, for
// snapshots, and for an end that is not a crash.
const maxReserve = 64 << 20

// disk is the disk of the log that this process keeps, as its writers see it. A log elsewhere has none: its server says when it
// is full.
type disk struct {
	server *deltalog.Server // nil if the log is elsewhere
	name   string           // what an operator is to make room on
	logger *slog.Logger

	mu       sync.Mutex // held while the server is opened anew
	reopened time.Time
}

// What leaves how much of the reserve alone: all of it, or a quarter.
const (
	forPushes    = 1
	forSnapshots = 4
)

// check refuses what takes so many bytes if the disk has no room for them beside its part of the reserve, with an ErrFull. So the
// server itself never meets a full disk, unless others fill it.
func (d *disk) check(bytes, part int64) error {
	if d.server == nil {
		return nil
	}
	left, of, err := d.server.Room()
	if err != nil {
		return nil // the append will tell
	}
	if need := min(maxReserve, of/20)/part + bytes; left < need {
		return fmt.Errorf("%w: %d MB left, %d MB needed", deltalog.ErrFull, left>>20, need>>20)
	}
	return nil
}

// heal opens the log's server anew if there is room again: once it met a full disk it stores nothing until then. The failure that
// is to be healed began at a time: one that was healed since is left.
func (d *disk) heal(began time.Time) {
	if d.server == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reopened.After(began) || d.check(0, forPushes) != nil {
		return
	}
	d.logger.Info("the log's disk has room again; opening the log anew")
	if err := d.server.Reopen(); err != nil {
		d.logger.Error("the log did not open anew", "err", err)
		return
	}
	d.reopened = time.Now()
}
