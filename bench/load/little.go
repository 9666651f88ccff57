package load

import (
	"math"
	"math/rand/v2"
	"time"
)

// little looks at how many visits are under way, now and then. By Little's law (Operations Research 9, 1961) their mean is the
// rate times the mean time under way: if it is not, visits are lost, or times are not what they seem.
type little struct {
	n           int
	sum, square float64
}

// fewLooks say nothing.
const fewLooks = 100

// run looks until the run is over, at times that have nothing to do with the dispatcher's ticks.
func (l *little) run(e *engine, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-time.After(3*time.Millisecond + rand.N(5*time.Millisecond)):
			done := e.done.Load() // first: what comes in between is under way
			l.look(float64(e.sent.Load() - done))
		}
	}
}

func (l *little) look(under float64) {
	l.n++
	l.sum += under
	l.square += under * under
}

// mean is how many were under way, and how far off that may be by chance: four standard errors, for looks that follow each
// other see the same stalls.
func (l *little) mean() (mean, off float64) {
	n := float64(max(1, l.n))
	mean = l.sum / n
	if l.n < fewLooks {
		return mean, math.Inf(1)
	}
	return mean, 4 * math.Sqrt(max(0, l.square/n-mean*mean)/n)
}
