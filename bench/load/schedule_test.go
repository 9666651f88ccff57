package load

import (
	"math"
	"testing"
	"time"
)

// Due and DueBy against the definition, computed the slow way.
func TestScheduleBruteForce(t *testing.T) {
	for _, s := range []Constant{{1, 1}, {1, time.Second}, {3, 10}, {7, 3}, {10, 10}, {60, time.Microsecond}, {1000, 997}} {
		for i := range s.N + 1 {
			if got, want := s.Due(i), time.Duration(i*uint64(s.For)/s.N); got != want {
				t.Fatalf("%v: Due(%d) = %d, want %d", s, i, got, want)
			}
		}
		for elapsed := time.Duration(-1); elapsed <= s.For+1 && elapsed < 2000; elapsed++ {
			want := uint64(0)
			for i := range s.N {
				if s.Due(i) <= elapsed {
					want++
				}
			}
			if got := s.DueBy(elapsed); got != want {
				t.Fatalf("%v: DueBy(%d) = %d, want %d", s, elapsed, got, want)
			}
		}
	}
}

func TestScheduleDoesNotOverflow(t *testing.T) {
	s := Constant{math.MaxUint64, math.MaxInt64}
	if got := s.Due(math.MaxUint64); got != math.MaxInt64 {
		t.Errorf("the last visit is due at %d", got)
	}
	if got := s.DueBy(math.MaxInt64 - 1); got <= math.MaxUint64-4 {
		t.Errorf("%d are due just before the end", got)
	}
}

func TestPace(t *testing.T) {
	s := Constant{10, 10 * time.Second}
	for name, c := range map[string]struct {
		elapsed time.Duration
		sent    uint64
		wait    time.Duration
		stop    bool
	}{
		"first":              {0, 0, 0, false},
		"on time":            {2500 * time.Millisecond, 3, 500 * time.Millisecond, false},
		"behind":             {5 * time.Second, 3, 0, false},
		"all sent":           {9500 * time.Millisecond, 10, 0, true},
		"late, within grace": {s.For + Grace, 9, 0, false},
		"grace over":         {s.For + Grace + 1, 9, 0, true},
	} {
		if wait, stop := (&pacer{Schedule: s}).Pace(c.elapsed, c.sent); wait != c.wait || stop != c.stop {
			t.Errorf("%s: waits %v, stops %v", name, wait, stop)
		}
	}
	if rate := s.Rate(0); rate != 1 {
		t.Errorf("rate %v, want 1", rate)
	}
	if got := s.String(); got != "10 visits, i · 10s / 10" {
		t.Errorf("String() = %q", got)
	}
}

func TestPacerStopsAndRemembers(t *testing.T) {
	stop := make(chan struct{})
	p := &pacer{Schedule: Constant{10, time.Second}, stop: stop}
	if _, stopped := p.Pace(0, 4); stopped || p.sent != 4 {
		t.Errorf("stopped %v after %d", stopped, p.sent)
	}
	close(stop)
	if _, stopped := p.Pace(0, 5); !stopped || p.sent != 5 {
		t.Errorf("stopped %v after %d", stopped, p.sent)
	}
}
