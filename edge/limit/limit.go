// Package limit is how fast one may scan, and what becomes of who collects codes that are none.
//
//   - limit.go: [Limits] and [Guard], the settings of a caller; [Rules], the same made ready
//   - caller.go: [Caller], who is limited: a rate and a guard in two atomic words
//   - table.go: [Table], the callers that nobody registered, in memory of one size
//   - ranges.go: [Ranges], which addresses have which limits
//
// # The rate
//
// A rate is a bucket of so many scans, the burst, that fills at so many a second. It is kept as the generic cell rate algorithm
// has it (ITU-T I.371): one word, the time at which the bucket will be full again. A scan moves that time by what a scan costs, and may
// go if it then lies no further ahead than the burst's worth. So a check is a load, a comparison and a compare-and-swap; a
// refusal writes nothing, whoever comes again without waiting gets his answer for less than a scan costs, and takes nothing
// from anybody, not even from himself.
//
// More scans than the burst at once (a batch) may go when the bucket is full, and leave it so much emptier than empty: each
// batch passes some time, and the rate holds over time. It is the rule that pushes have at the origin.
//
// # The guard
//
// Bad codes (unknown, forged, malformed ones) fill a second bucket, which so many a second are forgiven from: a time again, at
// which all will be forgiven. Past its first mark the caller is slowed to a rate of its own, past the second locked out until a
// time, after which he is where he was at the first mark. A scan that is refused for its rate costs nothing of either.
//
// # The table
//
// Addresses and holders come unregistered, as many as there are of them in the world, so they are kept in a table of one
// size: sets of eight callers in three cache lines (a line of eight tags, two of their words). A look-up that finds its caller
// reads two lines, takes no lock and writes none. A caller who is new takes the place, in his set, of one who has nothing to
// lose: whose bucket is full and to whom all is forgiven, so that to forget him changes nothing. If there is none, the place of the
// one who comes there soonest, but never that of one who is locked out. If all eight are locked out the newcomer is not kept, and goes free.
//
// Tags are hashes under a key of this process, so nobody can aim at another's set. What an attacker with many addresses can do:
// he has as many buckets as addresses, with any table. He can make the table forget what others had used up, to their good. What he can
// not: take a locked-out caller out of the table before his time; make it forget one with k bad codes without some k bad
// codes from addresses of about the table's size; take memory; get anybody refused for what he did himself, but for those who
// share his address. (Of two callers who meet at one place in the same nanoseconds, one may be charged the other's one scan.) Where many do,
// behind a NAT, what proves itself must be told from what does not, which is for who uses the package: package edge limits a
// scanner by his key wherever he is, and lets a holder's valid code through a lock-out of his address.
//
// An address is an IPv4 address, or the /64 of an IPv6 one, for that is what one subscriber gets.
//
// Times are nanoseconds since any moment, by a clock that does not go back; the caller has read it.
package limit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits are what a caller may do. The zero Limits are none.
type Limits struct {
	Rate  float64 // scans a second, 0.01 to 10,000,000; 0: as many as come
	Burst int     // scans at once, 1 or more; what the rate gives in 24 h at most
	Guard Guard
}

// Guard says when who collects bad codes is slowed and locked out. The zero Guard does neither.
type Guard struct {
	Forgiven  float64       // bad codes a second that are nothing in the long run, 0.01 to 1,000,000; 0: there is no guard
	SlowAfter int           // bad codes at once after which he is slowed, 1 or more
	SlowTo    float64       // scans a second then, 0.01 or more
	LockAfter int           // bad codes at once after which he is locked out, more than SlowAfter; what is forgiven in 24 h at most
	LockFor   time.Duration // a second to 24 h
}

const (
	slowest = 0.01
	longest = 24 * time.Hour
)

// Check says what is wrong with the limits.
func (l Limits) Check() error {
	if l.Rate == 0 && l.Burst != 0 {
		return errors.New("burst: without a rate there is none")
	}
	if l.Rate != 0 {
		switch {
		case !(l.Rate >= slowest && l.Rate <= 10_000_000):
			return fmt.Errorf("rate %v: it must be %v to 10000000 scans a second, 0 for as many as come", l.Rate, slowest)
		case l.Burst < 1:
			return fmt.Errorf("burst %d: it must be 1 scan or more", l.Burst)
		case float64(l.Burst) > l.Rate*longest.Seconds():
			return fmt.Errorf("burst %d: it must be no more than the rate gives in %.0f h, which is %.0f", l.Burst, longest.Hours(), l.Rate*longest.Seconds())
		}
	}
	if err := l.Guard.check(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}

func (g Guard) check() error {
	switch {
	case g == Guard{}:
		return nil
	case !(g.Forgiven >= slowest && g.Forgiven <= 1_000_000):
		return fmt.Errorf("forgiven %v: it must be %v to 1000000 bad codes a second", g.Forgiven, slowest)
	case g.SlowAfter < 1:
		return fmt.Errorf("slow_after %d: it must be 1 bad code or more", g.SlowAfter)
	case !(g.SlowTo >= slowest && g.SlowTo <= 1_000_000):
		return fmt.Errorf("slow_to %v: it must be %v to 1000000 scans a second", g.SlowTo, slowest)
	case g.LockAfter <= g.SlowAfter:
		return fmt.Errorf("lock_after %d: it must be more than slow_after, %d", g.LockAfter, g.SlowAfter)
	case float64(g.LockAfter) > g.Forgiven*longest.Seconds():
		return fmt.Errorf("lock_after %d: it must be no more than is forgiven in %.0f h, which is %.0f", g.LockAfter, longest.Hours(), g.Forgiven*longest.Seconds())
	case g.LockFor < time.Second || g.LockFor > longest:
		return fmt.Errorf("lock_for %v: it must be 1s to %.0fh", g.LockFor, longest.Hours())
	}
	return nil
}

// Rules are limits made ready: in nanoseconds. They never change; nil rules limit nothing.
type Rules struct {
	every, room int64 // a scan's cost and the burst's; 0: no rate

	bad        int64 // a bad code's cost; 0: no guard
	slow, lock int64 // the marks, as costs
	slowEvery  int64 // a scan's cost when slowed
	lockFor    int64
}

// New makes rules of limits that pass [Limits.Check]. Of none it makes nil.
func New(l Limits) *Rules {
	if l == (Limits{}) {
		return nil
	}
	r := new(Rules)
	if l.Rate > 0 {
		r.every = cost(l.Rate)
		r.room = r.every * int64(l.Burst)
	}
	if g := l.Guard; g != (Guard{}) {
		r.bad, r.slowEvery = cost(g.Forgiven), max(cost(g.SlowTo), r.every)
		half := r.bad / 2 // so that it is after so many, also when a little was forgiven in between
		r.slow, r.lock, r.lockFor = r.bad*int64(g.SlowAfter)-half, r.bad*int64(g.LockAfter)-half, int64(g.LockFor)
	}
	return r
}

// cost is what one costs at so many a second: at the highest rate there is, within half a percent.
func cost(rate float64) int64 { return int64(math.Round(float64(time.Second) / rate)) }
