package load

import (
	"fmt"
	"math/bits"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Grace is how long after the schedule's end late visits may still be sent. What is left then stays unsent.
const Grace = 5 * time.Second

// Schedule is open and has one constant rate: visit i is due at i · Over / Visits after the start.
type Schedule struct {
	Visits uint64        // at least 1
	Over   time.Duration // at least 1 ns
}

var _ vegeta.Pacer = Schedule{}

// Due returns the time after the start at which visit i, up to Visits, is to be sent.
func (s Schedule) Due(i uint64) time.Duration {
	hi, lo := bits.Mul64(i, uint64(s.Over))
	due, _ := bits.Div64(hi, lo, s.Visits)
	return time.Duration(due)
}

// DueBy returns how many visits are due at the given time after the start.
func (s Schedule) DueBy(elapsed time.Duration) uint64 {
	if elapsed < 0 {
		return 0
	}
	if elapsed >= s.Over {
		return s.Visits
	}
	// i · Over / Visits, rounded down, is at most elapsed where i < (elapsed+1) · Visits / Over.
	hi, lo := bits.Mul64(uint64(elapsed)+1, s.Visits)
	due, rest := bits.Div64(hi, lo, uint64(s.Over))
	if rest > 0 {
		due++
	}
	return due
}

// Pace says how long to wait before sending the visit that follows the given number, and stops after the last, or when
// [Grace] is over.
func (s Schedule) Pace(elapsed time.Duration, sent uint64) (wait time.Duration, stop bool) {
	if sent >= s.Visits || elapsed > s.Over+Grace {
		return 0, true
	}
	return max(0, s.Due(sent)-elapsed), false
}

// Rate returns visits per second, the same at any time.
func (s Schedule) Rate(time.Duration) float64 { return float64(s.Visits) / s.Over.Seconds() }

// String reads like a formula: 60000 visits, i · 20s / 60000.
func (s Schedule) String() string {
	return fmt.Sprintf("%d visits, i · %v / %d", s.Visits, s.Over, s.Visits)
}

// pacer stops a schedule early and remembers how far it came. vegeta calls it from one goroutine, which closes the channel of
// results after the last call: who has seen that may read sent.
type pacer struct {
	Schedule
	stop <-chan struct{}
	sent uint64
}

func (p *pacer) Pace(elapsed time.Duration, sent uint64) (time.Duration, bool) {
	p.sent = sent
	select {
	case <-p.stop:
		return 0, true
	default:
		return p.Schedule.Pace(elapsed, sent)
	}
}
