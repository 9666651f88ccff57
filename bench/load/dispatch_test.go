package load

import (
	"testing"
	"time"
)

// What is due is handed out, and after a time in which nothing was, a little more than is due, until all is made up for.
func TestBacklogsAreMadeUpForSlowly(t *testing.T) {
	s := Constant{10_000, 10 * time.Second} // one a millisecond
	e := &engine{Plan: Plan{Schedule: s}}
	next, last := uint64(0), time.Duration(0)
	step := func(now time.Duration) uint64 {
		n := e.quota(next, last, now)
		next, last = next+n, now
		return n
	}
	for now := time.Millisecond; now < time.Second; now += time.Millisecond {
		if n := step(now); next != s.DueBy(now) {
			t.Fatalf("%v: %d handed out, %d in all, where %d are due", now, n, next, s.DueBy(now))
		}
	}
	if n := step(1008 * time.Millisecond); next != s.DueBy(last) {
		t.Errorf("%d handed out after 9 ms, where %d are due", n, s.DueBy(last)-next+n)
	}
	if n := step(3 * time.Second); n != 11 {
		t.Errorf("%d handed out after 2 s, where 11 are 10 ms and a little", n)
	}
	for behind := s.DueBy(last) - next; behind > 0; {
		n := step(last + 8*time.Millisecond)
		now := s.DueBy(last) - next
		if n > 9 || now >= behind {
			t.Fatalf("%v: %d handed out, %d behind after %d", last, n, now, behind)
		}
		behind = now
	}
	if last < 10*time.Second {
		t.Errorf("2 s were made up for by %v", last)
	}
}

// A visit that is due alone is handed out in its tick, and so is one that comes late.
func TestSparseVisitsAreHandedOut(t *testing.T) {
	e := &engine{Plan: Plan{Schedule: Constant{10, 10 * time.Second}}}
	if n := e.quota(3, 2999*time.Millisecond, 3*time.Second); n != 1 {
		t.Errorf("%d at its time", n)
	}
	if n := e.quota(3, 3500*time.Millisecond, 3501*time.Millisecond); n != 1 {
		t.Errorf("%d after its time", n)
	}
	if n := e.quota(4, 3500*time.Millisecond, 3501*time.Millisecond); n != 0 {
		t.Errorf("%d before its time", n)
	}
}
