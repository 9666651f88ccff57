//go:build !linux

package edge

import "time"

func threadTime() time.Duration { return 0 }
