package deltalog

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Room returns how many bytes the disk of the log has left for this process, and of how many.
func (s *Server) Room() (left, of int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.cfg.Dir, &fs); err != nil {
		return 0, 0, fmt.Errorf("ask for the room left in %s: %w", s.cfg.Dir, err)
	}
	return int64(fs.Bavail) * fs.Bsize, int64(fs.Blocks) * fs.Bsize, nil
}
