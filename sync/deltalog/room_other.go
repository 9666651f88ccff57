//go:build !linux

package deltalog

import "math"

// Room returns how many bytes the disk of the log has left for this process, and of how many: here no limit is known.
func (s *Server) Room() (left, of int64, err error) { return math.MaxInt64, math.MaxInt64, nil }
