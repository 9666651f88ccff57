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

func TestConstant(t *testing.T) {
	s := Constant{10, 10 * time.Second}
	if rate := s.Rate(0); rate != 1 {
		t.Errorf("rate %v, want 1", rate)
	}
	if got := s.String(); got != "10 visits, i · 10s / 10" {
		t.Errorf("String() = %q", got)
	}
}
