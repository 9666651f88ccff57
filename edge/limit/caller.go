package limit

import (
	"sync/atomic"
	"time"
)

// Why says why a scan is refused.
type Why uint8

// Why a scan is refused, the worse the later. No is that it is not.
const (
	No        Why = iota
	TooFast       // for the rate
	Slowed        // for the rate of who has collected bad codes
	LockedOut     // for having collected more
)

// Caller is one who is limited, by rules that are his now. The zero Caller is not limited. Its methods are safe for concurrent
// use, allocate nothing and take no lock.
type Caller struct {
	words *words
	rules *Rules
}

// words are all that is known of a caller. Zeros are one who has done nothing.
type words struct {
	full  atomic.Int64 // when his bucket is full
	guard atomic.Int64 // when all is forgiven; below zero: minus the time until which he is locked out
}

// NewCaller is one who has done nothing yet.
func NewCaller(r *Rules) Caller { return Caller{words: new(words)}.Under(r) }

// Under is the same caller, with what he has done, under other rules.
func (c Caller) Under(r *Rules) Caller {
	c.rules = r
	return c
}

// Limited reports whether there is anything that he may not do.
func (c Caller) Limited() bool { return c.rules != nil }

// Guarded reports whether bad codes are counted.
func (c Caller) Guarded() bool { return c.rules != nil && c.rules.bad != 0 }

// Take takes n scans, 1 to 10,000, from what he may do at now, all or none: then it says why, and how long he has to wait, more
// than 0.
func (c Caller) Take(n int, now int64) (Why, time.Duration) {
	r := c.rules
	if r == nil {
		return No, 0
	}
	if r.bad != 0 {
		debt, until := r.standing(c.words.guard.Load(), now)
		if until > now {
			return LockedOut, time.Duration(until - now)
		}
		if debt >= r.slow {
			return c.take(n, now, r.slowEvery, r.slowEvery, Slowed)
		}
	}
	return c.take(n, now, r.every, r.room, TooFast)
}

// Spend takes n scans as Take does, of one who proved himself to be another than who collected bad codes in this name: the guard is not
// asked.
func (c Caller) Spend(n int, now int64) (Why, time.Duration) {
	if c.rules == nil {
		return No, 0
	}
	return c.take(n, now, c.rules.every, c.rules.room, TooFast)
}

func (c Caller) take(n int, now, every, room int64, why Why) (Why, time.Duration) {
	if every == 0 {
		return No, 0
	}
	cost := int64(n) * every
	room = max(room, cost)
	for {
		full := c.words.full.Load()
		after := max(full, now) + cost
		if wait := after - room - now; wait > 0 {
			return why, time.Duration(wait)
		}
		if c.words.full.CompareAndSwap(full, after) {
			return No, 0
		}
	}
}

// Bad charges him with n bad codes, 1 to 10,000, and says how he stands after that: No, Slowed, or LockedOut, then also for how long.
// Who is locked out is not charged.
func (c Caller) Bad(n int, now int64) (Why, time.Duration) {
	r := c.rules
	if r == nil || r.bad == 0 {
		return No, 0
	}
	for {
		word := c.words.guard.Load()
		debt, until := r.standing(word, now)
		if until > now {
			return LockedOut, time.Duration(until - now)
		}
		debt += int64(n) * r.bad
		why, wait, after := No, int64(0), now+debt
		if debt >= r.lock {
			why, wait, after = LockedOut, r.lockFor, -(now + r.lockFor)
		} else if debt >= r.slow {
			why = Slowed
		}
		if c.words.guard.CompareAndSwap(word, after) {
			return why, time.Duration(wait)
		}
	}
}

// Locked is how long he is locked out from now on, 0 if he is not.
func (c Caller) Locked(now int64) time.Duration {
	if !c.Guarded() {
		return 0
	}
	return time.Duration(max(0, c.words.lockedUntil()-now))
}

// lockedUntil is until when he is or was locked out, 0 if he was not of late.
func (w *words) lockedUntil() int64 { return max(0, -w.guard.Load()) }

// standing reads a guard's word: how much there is to be forgiven, and until when he is or was locked out.
func (r *Rules) standing(word, now int64) (debt, until int64) {
	if word >= 0 {
		return max(0, word-now), 0
	}
	until = -word
	return max(0, until+r.slow-now), until
}
