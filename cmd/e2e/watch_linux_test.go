package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// wrong begins the words of a failure that no stall of the machine excuses: CI does not try such a test again.
const wrong = "WRONG: "

const (
	lease = 3 * time.Second
	// slack is what the watchers grant beside the lease: how late a beat may reach an edge on a busy machine.
	slack = 500 * time.Millisecond
)

// ticker gives one subject of an issuer the numbers 1, 2, 3…, and remembers when each was acknowledged: the oracle of what an
// edge that vouches must show.
type ticker struct {
	origin *node
	issuer string

	mu    sync.Mutex
	tried int
	acked []time.Time // when number i+1 was
	last  scanedge.Receipt
}

const tickerSubject = "ticker-0"

// startTicker ticks until the returned function is called, which waits for the last acknowledgement.
func startTicker(t *testing.T, origin *node, issuer string, every time.Duration) (*ticker, func()) {
	t.Helper()
	k := &ticker{origin: origin, issuer: issuer}
	if err := k.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := k.tick(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("tick %d: %v", k.tried, err)
				return
			}
			pause(ctx, every)
		}
	})
	stop := func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return k, stop
}

// tick pushes the next number until it is acknowledged. Its key keeps an attempt that was given up from coming in late.
func (k *ticker) tick(ctx context.Context) error {
	k.mu.Lock()
	k.tried++
	n := k.tried
	k.mu.Unlock()
	r, err := k.origin.pushSurely(ctx, k.issuer, fmt.Sprintf("tick-%d", n), rows("ticker", 0, 1, n))
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.acked, k.last = append(k.acked, time.Now()), r
	}
	return err
}

// owed is the newest number that was acknowledged before a time; 0 is none.
func (k *ticker) owed(before time.Time) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.acked)
	for n > 0 && !k.acked[n-1].Before(before) {
		n--
	}
	return n
}

func (k *ticker) newest() (tried int, last scanedge.Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tried, k.last
}

// watcher scans the ticker's subject at an edge and holds every answer to the promise: one that is not marked stale shows all
// that was acknowledged a lease before it was asked for.
type watcher struct {
	ticker *ticker
	edge   *node

	vouched, stale, refused, failed atomic.Int64 // answers by kind; failed had none

	mu    sync.Mutex
	wrong []string
}

// startWatcher waits until the edge vouches, then watches with so many scans under way at a time until the returned function is
// called, which reports what was wrong.
func startWatcher(t *testing.T, k *ticker, edge *node, scans int) (*watcher, func()) {
	t.Helper()
	w := &watcher{ticker: k, edge: edge}
	w.awaitVouching(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range scans {
		wg.Go(func() {
			for ctx.Err() == nil {
				w.scan()
				pause(ctx, 2*time.Millisecond)
			}
		})
	}
	var once sync.Once
	stop := func() { once.Do(func() { cancel(); wg.Wait(); w.report(t) }) }
	t.Cleanup(stop)
	return w, stop
}

// scan asks once and judges the answer.
func (w *watcher) scan() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	asked := time.Now()
	v, err := w.edge.scanner(w.ticker.origin).Scan(ctx, w.ticker.issuer+":"+tickerSubject)
	var problem *scanedge.Problem
	switch {
	case errors.As(err, &problem):
		w.refused.Add(1)
		return
	case err != nil:
		w.failed.Add(1)
		return
	case v.Stale:
		w.stale.Add(1)
		return
	}
	w.vouched.Add(1)
	n, owed := numberOf(v.Until), w.ticker.owed(asked.Add(-lease-slack))
	tried, _ := w.ticker.newest()
	if n < owed || n > tried || v.AgeMS == nil || *v.AgeMS > lease.Milliseconds() {
		w.blame("asked %v ago, number %d, at least %d and at most %d was owed: %+v", time.Since(asked), n, owed, tried, v)
	}
}

func (w *watcher) blame(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, a...))
}

func (w *watcher) report(t *testing.T) {
	t.Helper()
	t.Logf("%s: %d answers vouched for, %d stale, %d refusals, %d without an answer", w.edge.name,
		w.vouched.Load(), w.stale.Load(), w.refused.Load(), w.failed.Load())
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, what := range w.wrong {
		if i == 5 {
			t.Errorf("%s: and %d more", w.edge.name, len(w.wrong)-i)
			break
		}
		t.Errorf(wrong+"%s vouched wrongly: %s", w.edge.name, what)
	}
}

// awaitStale waits until the edge answers, but marked.
func (w *watcher) awaitStale(t *testing.T) {
	t.Helper()
	eventually(t, w.edge.name+" answering stale", func() bool {
		before := w.vouched.Load()
		stale := w.stale.Load()
		time.Sleep(100 * time.Millisecond)
		return w.vouched.Load() == before && w.stale.Load() > stale
	})
}

// awaitVouching waits until the edge vouches for the newest number.
func (w *watcher) awaitVouching(t *testing.T) {
	t.Helper()
	tried, _ := w.ticker.newest()
	eventually(t, fmt.Sprintf("%s vouching for number %d", w.edge.name, tried), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		v, err := w.edge.scanner(w.ticker.origin).Scan(ctx, w.ticker.issuer+":"+tickerSubject)
		return err == nil && !v.Stale && numberOf(v.Until) >= tried
	})
}

// mustHaveAnswered checks that no scan was without a verdict so far.
func (w *watcher) mustHaveAnswered(t *testing.T, meanwhile string) {
	t.Helper()
	if refused, failed := w.refused.Load(), w.failed.Load(); refused+failed > 0 {
		t.Errorf("%s: %d scans were refused, %d had no answer", meanwhile, refused, failed)
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
