package load

import (
	"math"
	"math/rand/v2"
	"time"
)

// little looks at how many visits are under way, now and then. By Little's law (Operations Research 9, 1961) their mean over time
// is the rate times the mean time under way: if it is not, visits are lost, or times are not what they seem.
type little struct {
	n    int
	last float64       // of the last look
	at   time.Duration // when that was
	sum  float64       // visits × seconds
	took float64       // seconds

	square float64 // of what a second had on the mean, by seconds
}

// fewLooks say nothing.
const fewLooks = 100

// run looks until the run is over, at times that have nothing to do with the dispatcher's ticks: see nap.
func (l *little) run(e *engine, over <-chan struct{}) {
	for {
		nap(3*time.Millisecond + rand.N(5*time.Millisecond))
		select {
		case <-over:
			return
		default:
			done := e.done.Load() // first: what comes in between is under way
			l.look(e.now(), float64(e.sent.Load()-done))
		}
	}
}

// look counts what was under way since the last look: about the mean of both. A process that stood still in between looks late, and
// just then most is under way, so looks count by the time that they stand for.
func (l *little) look(now time.Duration, under float64) {
	took, mean := (now - l.at).Seconds(), (l.last+under)/2
	l.n, l.at, l.last = l.n+1, now, under
	l.took += took
	l.sum += took * mean
	l.square += took * mean * mean
}

// mean is how many were under way, and how far off that may be by chance: four standard errors, for looks that follow each
// other see the same stalls.
func (l *little) mean() (mean, off float64) {
	if l.took <= 0 {
		return 0, math.Inf(1)
	}
	mean = l.sum / l.took
	if l.n < fewLooks {
		return mean, math.Inf(1)
	}
	return mean, 4 * math.Sqrt(max(0, l.square/l.took-mean*mean)/float64(l.n))
}
