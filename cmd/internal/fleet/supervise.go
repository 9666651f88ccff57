package fleet

import (
	"context"
	"time"
)

// The wait before a dead process is started again doubles from backoffMin to backoffMax; a life of steadyLife or more
// starts it over.
const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 2 * time.Second
	steadyLife = 10 * time.Second
)

// backoff is the wait before the last restart; the zero value is before any.
type backoff time.Duration

// next returns the wait that follows a life of that length.
func (b *backoff) next(life time.Duration) time.Duration {
	if *b = min(2**b, backoff(backoffMax)); *b == 0 || life >= steadyLife {
		*b = backoff(backoffMin)
	}
	return time.Duration(*b)
}

// supervise runs one life after another until ctx ends or died, told of each end and of the wait to come, says to stop.
func supervise(ctx context.Context, life func(context.Context) error, died func(error, time.Duration) bool) {
	var b backoff
	for {
		began := time.Now()
		err := life(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := b.next(time.Since(began))
		if !died(err, wait) || !sleep(ctx, wait) {
			return
		}
	}
}
