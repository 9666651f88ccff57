package load

import (
	"context"
	"time"
)

const (
	// tick is the least that the dispatcher sleeps: the runtime rounds what is shorter up to it.
	tick = time.Millisecond

	// A tick that comes late hands out what came due since the last one, up to so much of the schedule, and of what is older
	// an eighth more: a backlog is made up for at 1.125 times the planned rate.
	mostAtOnce = 10 * time.Millisecond
	catchUp    = 8
)

// dispatch hands every visit to its lane when it is due, until the last one is, ctx ends, or [Grace] is over.
func (e *engine) dispatch(ctx context.Context) {
	total := e.Schedule.Visits()
	var next uint64
	for last := time.Duration(0); next < total && !e.over.Load(); {
		now := e.now()
		if now > e.Schedule.Over()+Grace {
			break
		}
		for end := next + e.quota(next, last, now); next < end && !e.over.Load(); next++ {
			r := e.Route(next)
			e.edges[r.Edge].lanes[r.Kind] <- next
		}
		last = now
		if next < total {
			e.wait(ctx, e.Schedule.Due(next)-e.now())
		}
	}
	e.unsent.Add(total - next)
}

// quota is how many visits may be handed out now, next being the first of them.
func (e *engine) quota(next uint64, last, now time.Duration) uint64 {
	due := e.Schedule.DueBy(now)
	if due <= next {
		return 0
	}
	fresh := due - max(next, e.Schedule.DueBy(max(last, now-mostAtOnce)))
	return min(due-next, fresh+max(1, fresh/catchUp))
}

// wait sleeps until the next visit is due, a tick at least; ctx wakes it.
func (e *engine) wait(ctx context.Context, d time.Duration) {
	if d <= 10*tick { // most of the time: a plain sleep costs less
		time.Sleep(max(d, tick))
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
