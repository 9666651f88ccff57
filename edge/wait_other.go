//go:build !linux

package edge

import (
	"net"
	"time"
)

// waitProbe knows nothing elsewhere than on Linux: no load is shed there.
type waitProbe struct{}

func newWaitProbe(net.Conn) *waitProbe { return nil }

func (*waitProbe) waited() (time.Duration, bool) { return 0, false }
