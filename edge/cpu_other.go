//go:build !unix

package edge

import "time"

func usedCPU() time.Duration { return 0 }
