package limit

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const second = int64(time.Second)

// model is a caller as one would tell it: what is lacking to a full bucket, what is to be forgiven, each less as time goes by.
type model struct {
	l             Limits
	at            int64
	lacking, debt float64 // scans, bad codes: kept in seconds of their rates
	until         int64
}

func (m *model) pass(now int64) {
	gone := float64(now-m.at) / float64(second)
	m.lacking, m.debt, m.at = max(0, m.lacking-gone), max(0, m.debt-gone), now
}

func (m *model) locked() bool { return m.until > m.at }

func (m *model) take(n int, now int64) (Why, float64) {
	m.pass(now)
	g, rate, burst, why := m.l.Guard, m.l.Rate, float64(m.l.Burst), TooFast
	if m.locked() {
		return LockedOut, float64(m.until-now) / float64(second)
	}
	if g.Forgiven > 0 && m.debt*g.Forgiven >= float64(g.SlowAfter)-0.5-1e-6 {
		rate, burst, why = g.SlowTo, 1, Slowed
		if m.l.Rate != 0 {
			rate = min(rate, m.l.Rate)
		}
	}
	if rate == 0 {
		return No, 0
	}
	if over := m.lacking + float64(n)/rate - max(burst, float64(n))/rate; over > 1e-9 {
		return why, over
	}
	m.lacking += float64(n) / rate
	return No, 0
}

func (m *model) bad(n int, now int64) Why {
	m.pass(now)
	g := m.l.Guard
	if g.Forgiven == 0 {
		return No
	}
	if m.locked() {
		return LockedOut
	}
	m.debt += float64(n) / g.Forgiven
	switch codes := m.debt*g.Forgiven + 0.5 + 1e-6; {
	case codes >= float64(g.LockAfter):
		m.until, m.debt = now+int64(g.LockFor), ((float64(g.SlowAfter)-0.5)/g.Forgiven)+g.LockFor.Seconds()
		return LockedOut
	case codes >= float64(g.SlowAfter):
		return Slowed
	}
	return No
}

// play lets a caller and the model do the same. Steps are in whole milliseconds, costs too, so that both are exact.
func play(t *testing.T, l Limits, steps []byte) {
	t.Helper()
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	c, m, now := NewCaller(New(l)), &model{l: l}, int64(0)
	for i := 0; i+2 < len(steps); i += 3 {
		now += int64(steps[i]) * int64(steps[i]) * int64(time.Millisecond)
		n := 1 + int(steps[i+1])%12
		if steps[i+2]%3 == 0 {
			got, wait := c.Bad(n, now)
			if want := m.bad(n, now); got != want {
				t.Fatalf("%+v, step %d at %v: %d bad codes: %d, not %d", l, i, time.Duration(now), n, got, want)
			} else if want == LockedOut && wait != time.Duration(m.until-now) {
				t.Fatalf("%+v, step %d: locked out for %v, not %v", l, i, wait, time.Duration(m.until-now))
			}
			continue
		}
		got, wait := c.Take(n, now)
		want, over := m.take(n, now)
		if got != want || wait.Seconds()-over > 1e-6 || over-wait.Seconds() > 1e-6 || (got == No) != (wait == 0) {
			t.Fatalf("%+v, step %d at %v: %d scans: %d for %v, not %d for %vs", l, i, time.Duration(now), n, got, wait, want, over)
		}
	}
}

var played = []Limits{
	{Rate: 10, Burst: 5},
	{Rate: 1000, Burst: 1},
	{Rate: 0.5, Burst: 3},
	{Guard: Guard{Forgiven: 1, SlowAfter: 10, SlowTo: 5, LockAfter: 40, LockFor: 20 * time.Second}},
	{Rate: 20, Burst: 100, Guard: Guard{Forgiven: 2, SlowAfter: 5, SlowTo: 100, LockAfter: 6, LockFor: time.Second}},
	{Rate: 2, Burst: 50, Guard: Guard{Forgiven: 0.1, SlowAfter: 3, SlowTo: 0.5, LockAfter: 100, LockFor: time.Minute}},
}

func TestCallerAgainstTheModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, l := range played {
			steps := make([]byte, 600)
			for i := range steps {
				steps[i] = byte(r.Uint32())
				if i%3 == 0 && r.IntN(3) > 0 {
					steps[i] = byte(r.IntN(20))
				}
			}
			play(t, l, steps)
		}
	}
}

func FuzzCaller(f *testing.F) {
	f.Add(byte(0), []byte{0, 1, 1, 0, 1, 1, 10, 4, 0})
	f.Add(byte(4), []byte{0, 9, 0, 0, 1, 1, 31, 1, 1})
	f.Fuzz(func(t *testing.T, which byte, steps []byte) { play(t, played[int(which)%len(played)], steps) })
}

// What is refused says when it is not: a nanosecond before it still is.
func TestWait(t *testing.T) {
	c, now := NewCaller(New(Limits{Rate: 3, Burst: 2})), 7*second
	for range 2 {
		if why, _ := c.Take(1, now); why != No {
			t.Fatal("the burst is not there")
		}
	}
	for range 50 {
		why, wait := c.Take(1, now)
		if why != TooFast || wait <= 0 || wait > time.Second/3+1 {
			t.Fatalf("%d, %v", why, wait)
		}
		if why, _ := c.Take(1, now+int64(wait)-1); why != TooFast {
			t.Fatal("too early")
		}
		now += int64(wait)
		if why, _ := c.Take(1, now); why != No {
			t.Fatal("not when it was said")
		}
	}
}

// A batch larger than the burst goes when the bucket is full, and is paid for after it.
func TestMoreThanTheBurst(t *testing.T) {
	c, now := NewCaller(New(Limits{Rate: 10, Burst: 5})), second
	if why, _ := c.Take(100, now); why != No {
		t.Fatal("refused with a full bucket")
	}
	if why, wait := c.Take(100, now); why != TooFast || wait != 10*time.Second {
		t.Errorf("another: %d, %v", why, wait)
	}
	if why, wait := c.Take(1, now); why != TooFast || wait != 9600*time.Millisecond {
		t.Errorf("a scan: %d, %v", why, wait)
	}
}

// Many at once get what there is, no more and no less, and many bad codes at once lock out once.
func TestManyAtOnce(t *testing.T) {
	const burst, tries = 1000, 4000
	c := NewCaller(New(Limits{Rate: 5, Burst: burst, Guard: Guard{Forgiven: 1, SlowAfter: 2 * tries, SlowTo: 1, LockAfter: 3 * tries, LockFor: time.Hour}}))
	var got, locks atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range tries {
				if why, _ := c.Take(1, second); why == No {
					got.Add(1)
				}
				if why, wait := c.Bad(1, second); why == LockedOut && wait == time.Hour {
					locks.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got.Load() > burst || c.Locked(second) != time.Hour || locks.Load() < tries {
		t.Errorf("%d scans of %d; locked out for %v, said %d times", got.Load(), burst, c.Locked(second), locks.Load())
	}
	c = NewCaller(New(Limits{Rate: 5, Burst: burst}))
	got.Store(0)
	for range 4 {
		wg.Go(func() {
			for range tries {
				if why, _ := c.Take(1, second); why == No {
					got.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got.Load() != burst {
		t.Errorf("%d scans, not %d", got.Load(), burst)
	}
}

// Who has no limits is not even looked at; one keeps what he did when his rules change.
func TestUnder(t *testing.T) {
	var free Caller
	for range 3 {
		if why, _ := free.Take(10_000, second); why != No || free.Limited() || free.Locked(second) != 0 {
			t.Error("limited without limits")
		}
		if why, _ := free.Bad(10_000, second); why != No {
			t.Error("guarded without a guard")
		}
	}
	c := NewCaller(New(Limits{Rate: 1, Burst: 10}))
	c.Take(10, second)
	if why, _ := c.Under(nil).Take(1, second); why != No {
		t.Error("limited when limits are gone")
	}
	if why, wait := c.Under(New(Limits{Rate: 1, Burst: 5})).Take(1, second); why != TooFast || wait != 6*time.Second {
		t.Errorf("%d, %v", why, wait)
	}
}

func TestLimitsThatCantBe(t *testing.T) {
	good := Guard{Forgiven: 1, SlowAfter: 10, SlowTo: 5, LockAfter: 40, LockFor: 20 * time.Second}
	with := func(change func(g *Guard)) Limits {
		g := good
		change(&g)
		return Limits{Guard: g}
	}
	for want, l := range map[string]Limits{
		"burst: without a rate there is none":                                                  {Burst: 1},
		"rate -1: it must be 0.01 to 10000000 scans a second, 0 for as many as come":           {Rate: -1, Burst: 1},
		"rate 0.001: it must be 0.01 to 10000000 scans a second, 0 for as many as come":        {Rate: 0.001, Burst: 1},
		"burst 0: it must be 1 scan or more":                                                   {Rate: 1},
		"burst 86401: it must be no more than the rate gives in 24 h, which is 86400":          {Rate: 1, Burst: 86401},
		"guard: forgiven 0: it must be 0.01 to 1000000 bad codes a second":                     with(func(g *Guard) { g.Forgiven = 0 }),
		"guard: slow_after 0: it must be 1 bad code or more":                                   with(func(g *Guard) { g.SlowAfter = 0 }),
		"guard: slow_to 0: it must be 0.01 to 1000000 scans a second":                          with(func(g *Guard) { g.SlowTo = 0 }),
		"guard: lock_after 10: it must be more than slow_after, 10":                            with(func(g *Guard) { g.LockAfter = 10 }),
		"guard: lock_after 90000: it must be no more than is forgiven in 24 h, which is 86400": with(func(g *Guard) { g.LockAfter = 90000 }),
		"guard: lock_for 1ms: it must be 1s to 24h":                                            with(func(g *Guard) { g.LockFor = time.Millisecond }),
	} {
		if err := l.Check(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, not %s", l, err, want)
		}
	}
	for _, l := range append(played, Limits{}, Limits{Guard: good}) {
		if err := l.Check(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}
