package report

import (
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// peak is the most requests that are due in one whole second of the schedule; of a schedule without one, its mean a second.
func peak(s load.Schedule) float64 {
	most, before := float64(s.Visits())/s.Over().Seconds(), uint64(0)
	for end := time.Second; end <= s.Over(); end += time.Second {
		due := s.DueBy(end - 1) // one that is due at the very end belongs to the next second
		if end == s.Over() {
			due = s.Visits()
		}
		most, before = max(most, float64(due-before)), due
	}
	return most
}

// lasts is how many seconds a line of the log is about: more than one where the generator could not write in time.
func lasts(seconds []load.Second, i int) int {
	if i+1 == len(seconds) {
		return 1
	}
	return max(1, seconds[i+1].Second-seconds[i].Second)
}

// rate is how many requests were due a second in a line of the log.
func rate(seconds []load.Second, i int) float64 {
	return float64(seconds[i].Planned) / float64(lasts(seconds, i))
}

// loggedPeak is the highest rate in the log.
func loggedPeak(seconds []load.Second) (most float64) {
	for i := range seconds {
		most = max(most, rate(seconds, i))
	}
	return most
}
