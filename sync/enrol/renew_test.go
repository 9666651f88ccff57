package enrol

import (
	"context"
	"testing"
	"time"
)

// By a clock that is far ahead every certificate is due at once: the origin is asked again after a while, not as fast as it answers.
func TestRenewalByAClockThatIsAhead(t *testing.T) {
	a := newAuthority(t, Life)
	id := a.join("gate", All)
	ahead := func(now time.Time) time.Time { return now.Add(6 * 24 * time.Hour) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	asked := a.asked.Load()
	id.keep(ctx, a.url(), quiet, func(at time.Time) time.Duration { return at.Sub(ahead(time.Now())) })
	if n := a.asked.Load() - asked; n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}
