package load

import (
	"fmt"
	"math/bits"
	"time"
)

// Grace is how long after the schedule's end late visits may still be sent. What is left then stays unsent.
const Grace = 5 * time.Second

// Schedule is open: when visits are due is fixed before the run, whatever the answers do.
type Schedule interface {
	Visits() uint64                     // how many requests are planned; at least 1
	Over() time.Duration                // when the last of them is due, at the latest
	Due(i uint64) time.Duration         // when request i is, after the start; it does not decrease
	DueBy(elapsed time.Duration) uint64 // how many are, at a time after the start
	Rate(elapsed time.Duration) float64 // how many a second, at that time
	String() string
}

// Constant is the schedule of one constant rate: visit i is due at i · For / N after the start.
type Constant struct {
	N   uint64        // at least 1
	For time.Duration // at least 1 ns
}

var _ Schedule = Constant{}

// Visits returns N.
func (s Constant) Visits() uint64 { return s.N }

// Over returns For.
func (s Constant) Over() time.Duration { return s.For }

// Due returns the time after the start at which visit i, up to N, is to be sent.
func (s Constant) Due(i uint64) time.Duration {
	hi, lo := bits.Mul64(i, uint64(s.For))
	due, _ := bits.Div64(hi, lo, s.N)
	return time.Duration(due)
}

// DueBy returns how many visits are due at the given time after the start.
func (s Constant) DueBy(elapsed time.Duration) uint64 {
	if elapsed < 0 {
		return 0
	}
	if elapsed >= s.For {
		return s.N
	}
	// i · For / N, rounded down, is at most elapsed where i < (elapsed+1) · N / For.
	hi, lo := bits.Mul64(uint64(elapsed)+1, s.N)
	due, rest := bits.Div64(hi, lo, uint64(s.For))
	if rest > 0 {
		due++
	}
	return due
}

// Rate returns visits per second, the same at any time.
func (s Constant) Rate(time.Duration) float64 { return float64(s.N) / s.For.Seconds() }

// String reads like a formula: 60000 visits, i · 20s / 60000.
func (s Constant) String() string {
	return fmt.Sprintf("%d visits, i · %v / %d", s.N, s.For, s.N)
}
