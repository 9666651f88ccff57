package day

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scanedge/scanedge"
)

// skies is a fleet for canaries, in the bubble's time: a push takes 2 ms, and each edge shows it some time after its start.
type skies struct {
	mu    sync.Mutex // guards all of it
	log   []entry
	calls int             // of push
	delay []time.Duration // by edge

	refuse func(n int) (stored bool, err error)                                                 // the n-th push
	spoil  func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) // an answer
}

type entry struct {
	began  time.Time
	code   string
	status scanedge.Status // "" is removed
}

const pushTakes = 2 * time.Millisecond

func (s *skies) push(_ context.Context, issuer string, deltas []scanedge.Delta) (scanedge.Receipt, error) {
	receipt, err := s.append(issuer, deltas[0])
	time.Sleep(pushTakes)
	return receipt, err
}

func (s *skies) append(issuer string, d scanedge.Delta) (scanedge.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, err := true, error(nil)
	if s.refuse != nil {
		stored, err = s.refuse(s.calls)
	}
	s.calls++
	if stored {
		s.log = append(s.log, entry{time.Now(), issuer + ":" + d.Subject, d.Status})
	}
	return scanedge.Receipt{Offset: uint64(len(s.log)), Count: 1}, err
}

func (s *skies) scan(edge int) Scan {
	return func(_ context.Context, code string) (scanedge.Verdict, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		v := scanedge.Verdict{Issuer: strings.Split(code, ":")[0]}
		for k, e := range s.log {
			if time.Since(e.began) < s.delay[edge] {
				break
			}
			v.Offset = uint64(k + 1)
			if e.code == code {
				v.Status = e.status
			}
		}
		err := error(nil)
		if v.Status == "" {
			err = scanedge.NewProblem(scanedge.UnknownSubject, "")
		}
		if s.spoil != nil {
			return s.spoil(edge, code, v, err)
		}
		return v, err
	}
}

// flight settles canaries, lets them fly for a while and removes them.
func (s *skies) flight(t *testing.T, d time.Duration) *Canaries {
	t.Helper()
	c := NewCanaries(7, []string{"demo-a", "demo-b", "demo-c"}, s.push, []Watchpost{{"edge-1", s.scan(0)}, {"edge-2", s.scan(1)}})
	if c.Settle(t.Context()) {
		over := make(chan struct{})
		time.AfterFunc(d, func() { close(over) })
		c.Fly(t.Context(), over)
		c.Remove(t.Context())
	}
	return c
}

func newSkies() *skies {
	return &skies{delay: []time.Duration{3 * time.Millisecond, 8 * time.Millisecond}}
}

// Of a fleet whose slower edge takes 8 ms, every turn takes 8 ms to the next look, and ten are made a second.
func TestCanariesTimeTheLastEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSkies()
		c := s.flight(t, 10*time.Second+time.Millisecond)
		if why := c.Reasons(); len(why) > 0 || c.Wrong > 0 {
			t.Fatalf("reasons %q, wrong %v", why, c.Examples)
		}
		visible, acked := c.Visible.Summary(), c.Acked.Summary()
		near := func(got, want float64) bool { return math.Abs(got-want) < 0.02 }
		if visible.Count != 100 || !near(visible.P50, 8) || !near(visible.Max, 8) || !near(acked.P50, 6) || !near(acked.Max, 6) {
			t.Errorf("visible %+v, acked %+v", visible, acked)
		}
		records := map[string]scanedge.Status{}
		words := map[scanedge.Status]int{}
		for _, e := range s.log {
			records[e.code] = e.status
			words[e.status]++
		}
		if len(records) != canaryCount || words[scanedge.Yellow] != 28 || words[scanedge.Red] != 24 || words[scanedge.Void] != 24 {
			t.Errorf("canaries %v turned to %v", records, words)
		}
		for code, left := range records {
			if left != "" || !strings.Contains(code, ":day-7-canary-") {
				t.Errorf("%s is left as %q", code, left)
			}
		}
	})
}

// What an earlier run of the same seed has left behind, also one that is still on its way, does not matter.
func TestCanariesSettleOnWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSkies()
		for k, status := range []scanedge.Status{scanedge.Green, scanedge.Red} {
			at := time.Now().Add(time.Duration(k-1) * time.Second) // green is there, red on its way
			s.log = append(s.log, entry{at, "demo-a:day-7-canary-0", status}, entry{at, "demo-b:day-7-canary-1", status})
		}
		s.log = append(s.log, entry{time.Now(), "demo-a:day-7-canary-3", scanedge.Green}) // the base, but an old one
		posts := []Watchpost{{"edge-1", s.scan(0)}, {"edge-2", s.scan(1)}}
		c := NewCanaries(7, []string{"demo-a", "demo-b", "demo-c"}, s.push, posts)
		if !c.Settle(t.Context()) || c.Wrong > 0 {
			t.Errorf("reasons %q, wrong %v", c.Reasons(), c.Examples)
		}
		for _, p := range posts {
			for _, bird := range c.all {
				v, err := p.Scan(t.Context(), bird.code())
				if err != nil || v.Status != scanedge.Green || v.Offset != uint64(len(s.log)) {
					t.Errorf("settled, but %s says %+v of %s (%v)", p.Name, v, bird.code(), err)
				}
			}
		}
	})
}

// Each case is a fleet with one fault that begins when the canaries are on their base.
func TestCanariesFindFaults(t *testing.T) {
	settled := canaryCount // pushes
	for name, c := range map[string]struct {
		spoil  func(s *skies)
		wrong  string // in the first example
		reason string // in the first reason
	}{
		"edge-2 follows no more": {func(s *skies) {
			s.spoil = func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) {
				if edge == 1 && len(s.log) > settled {
					return scanedge.Verdict{Issuer: v.Issuer, Status: scanedge.Green, Offset: uint64(settled)}, nil
				}
				return v, err
			}
		}, "", "edge-2 did not show demo-a:day-7-canary-0 turned yellow within 5s (the last it said: green of demo-a at offset 4)"},
		"edge-2 says it holds what it does not show": {func(s *skies) {
			s.spoil = func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) {
				if edge == 1 && v.Status == scanedge.Yellow {
					v.Status = scanedge.Green
				}
				return v, err
			}
		}, "yellow of demo-a from offset 5 on, got green of demo-a at offset 5", "edge-2 did not show"},
		"edge-1 shows it, but late by its own offset": {func(s *skies) {
			s.spoil = func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) {
				if edge == 0 {
					v.Offset += 1
				}
				return v, err
			}
		}, "yellow of demo-a from offset 5 on, got green of demo-a at offset 5", ""},
		"edge-1 shows a third status": {func(s *skies) {
			s.spoil = func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) {
				if edge == 0 && len(s.log) > settled && v.Offset == uint64(settled) {
					v.Status = scanedge.Void
				}
				return v, err
			}
		}, "green or yellow of demo-a, got void of demo-a", ""},
		"edge-1 names another issuer": {func(s *skies) {
			s.spoil = func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) {
				if edge == 0 && len(s.log) > settled && v.Offset == uint64(settled) {
					v.Issuer = "demo-z"
				}
				return v, err
			}
		}, "green or yellow of demo-a, got green of demo-z", ""},
		"edge-1 forgets the subject": {func(s *skies) {
			s.spoil = func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) {
				if edge == 0 && len(s.log) > settled && v.Offset == uint64(settled) {
					return scanedge.Verdict{}, scanedge.NewProblem(scanedge.UnknownSubject, "")
				}
				return v, err
			}
		}, "green or yellow of demo-a, got unknown-subject", ""},
		"edge-1 is not reached": {func(s *skies) {
			s.spoil = func(edge int, code string, v scanedge.Verdict, err error) (scanedge.Verdict, error) {
				if edge == 0 && len(s.log) > settled {
					return scanedge.Verdict{}, errors.New("connection refused")
				}
				return v, err
			}
		}, "", "edge-1 did not show demo-a:day-7-canary-0 turned yellow within 5s (the last it said: connection refused)"},
		"the origin refuses": {func(s *skies) {
			s.refuse = func(n int) (bool, error) { return n < settled, from(n, settled) }
		}, "", "a canary could not be pushed: out of disk"},
		"the origin stores, but says no": {func(s *skies) {
			s.refuse = func(n int) (bool, error) { return true, from(n, settled) }
		}, "", "a canary could not be pushed: out of disk"},
		"the origin stores one, but says no": {func(s *skies) {
			s.refuse = func(n int) (bool, error) { return true, at(n, settled) }
		}, "", "a canary could not be pushed: out of disk"},
		"the origin refuses one": {func(s *skies) {
			s.refuse = func(n int) (bool, error) { return n != settled, at(n, settled) }
		}, "", "a canary could not be pushed: out of disk"},
		"the origin refuses from the start": {func(s *skies) {
			s.refuse = func(n int) (bool, error) { return false, errDisk }
		}, "", "a canary could not be set: out of disk"},
		"an edge never shows the base": {func(s *skies) {
			s.delay[0] = time.Hour
		}, "", "edge-1 did not show demo-a:day-7-canary-0 turned green within 5s (the last it said: unknown-subject"},
		"the canaries stay": {func(s *skies) {
			s.refuse = func(n int) (bool, error) { return true, from(n, settled+10) }
		}, "", "the canaries could not be removed: out of disk"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSkies()
				c.spoil(s)
				got := s.flight(t, 1050*time.Millisecond)
				if why := strings.Join(got.Reasons(), "; "); !strings.HasPrefix(why, c.reason) || (c.reason == "") != (why == "") {
					t.Errorf("reasons %q, want %q", why, c.reason)
				}
				if (got.Wrong > 0) != (c.wrong != "") {
					t.Fatalf("wrong %d: %+v", got.Wrong, got.Examples)
				}
				if c.wrong != "" && !strings.Contains(got.Examples[0].Expected+", got "+got.Examples[0].Got, c.wrong) {
					t.Errorf("example %+v, want %q", got.Examples[0], c.wrong)
				}
			})
		})
	}
}

var errDisk = errors.New("out of disk")

// at fails the call of one number, from all calls from one on.
func at(n, one int) error {
	if n == one {
		return errDisk
	}
	return nil
}

func from(n, one int) error {
	if n >= one {
		return errDisk
	}
	return nil
}

func TestNoTurnIsAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSkies().flight(t, 50*time.Millisecond)
		if why := c.Reasons(); len(why) != 1 || !strings.HasPrefix(why[0], "no canary was seen to turn") {
			t.Errorf("reasons %q", why)
		}
	})
}

func TestInterruptIsNoFaultOfTheCanaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSkies()
		c := NewCanaries(7, []string{"demo-a"}, s.push, []Watchpost{{"edge-1", s.scan(0)}})
		if !c.Settle(t.Context()) {
			t.Fatal(c.Reasons())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1001*time.Millisecond) // within a turn
		defer cancel()
		c.Fly(ctx, nil)
		if why := c.Reasons(); len(why) > 0 || c.Wrong > 0 {
			t.Errorf("reasons %q, wrong %v", why, c.Examples)
		}
		c.Remove(ctx)
		if last := s.log[len(s.log)-1]; last.status != "" || len(c.Reasons()) > 0 {
			t.Errorf("the last push is %+v, reasons %q", last, c.Reasons())
		}
		if c.Settle(ctx) || len(c.reasons) > 0 {
			t.Errorf("settled after the interrupt, reasons %q", c.reasons)
		}
	})
}
