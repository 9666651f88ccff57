package load

import "time"

// MaxStep is how far the machine's clock may be set while a run goes on: codes are made and judged by it.
const MaxStep = 100 * time.Millisecond

// clock compares the machine's clock with one that nobody sets.
type clock struct {
	wall   func() time.Time
	steady func(since time.Time) time.Duration
	start  time.Time
	worst  time.Duration // the largest step, either way
}

func newClock(start time.Time) clock {
	return clock{wall: time.Now, steady: time.Since, start: start}
}

func (c *clock) look() {
	step := c.wall().Round(0).Sub(c.start.Round(0)) - c.steady(c.start) // Round leaves the time that can be set
	c.worst = max(c.worst, step, -step)
}
