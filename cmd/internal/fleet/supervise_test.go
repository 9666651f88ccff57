package fleet

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Lives of these lengths, and the wait that must follow each: doubling up to 2 s, starting over after 10 s of life.
func TestSuperviseWaitsLongerUntilALifeWasSteady(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	lives := []time.Duration{0, 5 * ms, s, 9 * s, 0, 0, 0, 10 * s, 0, 11 * s, 10*s - 1, 10 * s}
	waits := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2 * s, 2 * s, 100 * ms, 200 * ms, 100 * ms, 200 * ms, 100 * ms}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got []time.Duration
		ended := time.Now()
		supervise(ctx, func(ctx context.Context) error {
			if len(got) > 0 || time.Since(ended) > 0 {
				waited := time.Since(ended)
				if waited != got[len(got)-1] {
					t.Errorf("after life %d it waited %v, having said %v", len(got), waited, got[len(got)-1])
				}
			}
			if len(got) == len(lives) {
				cancel()
				return nil
			}
			time.Sleep(lives[len(got)])
			ended = time.Now()
			return errors.New("died")
		}, func(err error, wait time.Duration) bool {
			if err == nil {
				t.Error("a death without a cause")
			}
			got = append(got, wait)
			return true
		})
		if !slices.Equal(got, waits) {
			t.Errorf("waits %v\nwant  %v", got, waits)
		}
	})
}

func TestSuperviseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		lives := 0
		supervise(t.Context(), func(context.Context) error { lives++; return errors.New("died") },
			func(error, time.Duration) bool { return lives < 3 })
		if lives != 3 || time.Since(began) != 300*time.Millisecond {
			t.Errorf("told to stop after 3 lives, it ended after %d and %v", lives, time.Since(began))
		}

		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond) // in the midst of the second wait
		defer cancel()
		began, lives = time.Now(), 0
		supervise(ctx, func(context.Context) error { lives++; return errors.New("died") },
			func(error, time.Duration) bool { return true })
		if lives != 2 || time.Since(began) != 250*time.Millisecond {
			t.Errorf("cancelled after 250 ms, it ended after %d lives and %v", lives, time.Since(began))
		}
	})
}
