package table

import (
	"fmt"
	"sync/atomic"
	"time"
)

// loop does an operation ops times, a multiple of loopUnit; from is the number of the first, so that no two runs draw the same
// keys. Sum depends on all that was read. Wrong counts the answers that can't be: each means that a table lost or made up an
// entry.
type loop func(from uint64, ops int) (sum, wrong uint64)

const loopUnit = 1024

// contender is a loop that is measured in turns with others.
type contender struct {
	name string
	run  loop
	done uint64 // operations so far
	ops  int    // in one round
}

// sink keeps what loops compute from being optimised away.
var sink atomic.Uint64

// contest runs each contender once a round, every other round in reverse order, and keeps the nanoseconds of an operation in
// j.r.Rounds. Before tells the progress before it, after the one after it.
func (j *job) contest(step string, before, after float64, contenders ...*contender) error {
	for _, c := range contenders {
		if err := c.size(j.Slice); err != nil {
			return err
		}
	}
	for round := range j.Rounds {
		j.progress(step, before+(after-before)*float64(round)/float64(j.Rounds))
		for i := range contenders {
			c := contenders[i]
			if round%2 == 1 {
				c = contenders[len(contenders)-1-i]
			}
			took, err := c.once()
			if err != nil {
				return err
			}
			j.r.Rounds[c.name] = append(j.r.Rounds[c.name], float64(took.Nanoseconds())/float64(c.ops))
		}
	}
	return nil
}

// size chooses how many operations fill a slice of time.
func (c *contender) size(slice time.Duration) error {
	for c.ops = loopUnit; ; c.ops *= 2 {
		took, err := c.once()
		if err != nil {
			return err
		}
		if took > slice/8 {
			c.ops = max(1, int(float64(c.ops)*float64(slice)/float64(took))/loopUnit) * loopUnit
			return nil
		}
	}
}

func (c *contender) once() (time.Duration, error) {
	began := time.Now()
	sum, wrong := c.run(c.done, c.ops)
	took := time.Since(began)
	sink.Add(sum)
	c.done += uint64(c.ops)
	if wrong > 0 {
		return 0, fmt.Errorf("%s: %d of %d answers were wrong", c.name, wrong, c.ops)
	}
	return took, nil
}
