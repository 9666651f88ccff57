package replica

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff doubles its pauses.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// wait waits for the next pause, give or take a quarter, so that many edges do not come back at once. It reports whether ctx has not
// ended.
func (b *backoff) wait(ctx context.Context, r *backoffRange) bool {
	b.next = min(max(2*b.next, r.first), r.most)
	return sleep(ctx, jitter(b.next, 0.25))
}

// jitter is d give or take a share of it.
func jitter(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1)))
}

// sleep reports whether it was not ended by ctx.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
