package access

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func withCancel(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// A bucket gives its burst and then the rate; what it can't give it says when.
func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Bearer{record: record{Token: Token{Rate: 10}}}
		for _, c := range []struct {
			after time.Duration
			take  int
			wait  time.Duration
		}{
			{0, 60, 0}, {0, 40, 0}, {0, 1, 100 * time.Millisecond}, {0, 100, 10 * time.Second},
			{time.Second, 10, 0}, {0, 1, 100 * time.Millisecond}, {99 * time.Millisecond, 1, time.Millisecond}, {time.Millisecond, 1, 0},
			{time.Hour, 100, 0}, {0, 1, 100 * time.Millisecond}, {5 * time.Second, 51, 100 * time.Millisecond}, {0, 50, 0},
		} {
			time.Sleep(c.after)
			if got := b.Take(c.take, 100); got.Round(time.Microsecond) != c.wait {
				t.Errorf("%+v: %v", c, got)
			}
		}
	})
	free := &Bearer{}
	for range 3 {
		if free.Take(1_000_000, 1) != 0 {
			t.Error("without a rate there is a wait")
		}
	}
	slow := &Bearer{record: record{Token: Token{Rate: 1e-300}}}
	slow.Take(5, 5)
	if got := slow.Take(5, 5); got != maxWait {
		t.Errorf("an endless wait: %v", got)
	}
}
