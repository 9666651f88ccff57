package edge

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
)

// When requests wait. The first three are those of CoDel as Facebook's servers use it.
const (
	waitTarget   = 5 * time.Millisecond   // what no request waited less than, for an interval, is a queue that doesn't go away
	waitInterval = 100 * time.Millisecond // so long a burst may take
	waitScan     = 10 * time.Millisecond  // what a scan may have waited while there is such a queue
	waitBatch    = 100 * time.Millisecond // and a batch, for which nobody stands at the gate
	waitDoubt    = 30 * time.Second       // after which refusals alone are no proof of it: a processor that comes and goes makes some wait too
	waitSamples  = 16                     // an interval with fewer requests goes on: a few that waited are no queue
	waitEvery    = 16                     // one request of so many of a connection is looked at, as long as none has waited
)

// How long those stay away who are refused.
const (
	longestAway = 3           // seconds that they are told to wait, at most
	holdMore    = time.Second // by how much at most those who do not wait are held longer
)

// After there was a queue, connections are accepted at most so often for so long.
const (
	newcomersWait = time.Second
	newcomerEvery = time.Millisecond
)

// overload decides which requests are too many. A request waits in its socket, or for a processor, and nowhere else; the kernel knows
// since when ([waitProbe]). When the least wait of an interval says that there is a queue which doesn't go away, requests that have
// waited too long are refused, until an interval needs no refusal: the others are then answered in time, and the edge is as busy as it can be.
// (K. Nichols, V. Jacobson: Controlling Queue Delay, 2012. B. Maurer: Fail at Scale, 2015.)
//
// Refusals cost too, as much as the HTTP of a scan: who was refused and asks again before the time that he was told is refused only after it ([conn.putOff]),
// so that he has a small share of the edge whatever he does. New connections are accepted more slowly, so that those who have one go first.
// All its methods are safe for concurrent use.
type overload struct {
	base    time.Time
	batch   time.Duration // what a batch may have waited while there is a queue
	samples atomic.Int64  // of the interval, which begins with the first
	ends    atomic.Int64  // when the interval may, in nanoseconds from base
	least   atomic.Int64  // wait of the interval, in nanoseconds
	queue   atomic.Bool   // there was one in the last interval
	stood   atomic.Int64  // when it was last seen, in nanoseconds from base
	watch   atomic.Bool   // look at every request: there was one, or the last that was looked at had waited
	refused atomic.Int64  // requests in the interval
	quiet   atomic.Int64  // when newcomers need not wait any more, in nanoseconds from base
}

func newOverload() *overload {
	o := &overload{base: time.Now(), batch: waitBatch}
	o.least.Store(math.MaxInt64)
	return o
}

// tooLong reports whether a request that had waited so long at now is to be refused, where bound is what it may have.
func (o *overload) tooLong(waited, bound time.Duration, now time.Time) bool {
	for least := o.least.Load(); int64(waited) < least && !o.least.CompareAndSwap(least, int64(waited)); least = o.least.Load() {
	}
	at, n := int64(now.Sub(o.base)), o.samples.Add(1)
	if n == 1 {
		o.ends.Store(at + int64(waitInterval))
	}
	if ends := o.ends.Load(); n >= waitSamples && at >= ends && o.ends.CompareAndSwap(ends, math.MaxInt64) {
		o.samples.Store(0) // the next request begins an interval
		refused := o.refused.Swap(0)
		standing := o.least.Swap(math.MaxInt64) > int64(waitTarget)
		if standing {
			o.stood.Store(at)
		}
		queue := standing || o.queue.Load() && refused > 0 && at-o.stood.Load() < int64(waitDoubt)
		if o.queue.Store(queue); queue {
			o.quiet.Store(at + int64(newcomersWait))
		}
	}
	queue := o.queue.Load()
	if watch := queue || waited > waitTarget; watch != o.watch.Load() {
		o.watch.Store(watch)
	}
	return queue && waited > bound
}

// newcomer waits before one more connection is accepted, if there was a queue lately: what a connection costs is that of several scans.
func (o *overload) newcomer() {
	if int64(time.Since(o.base)) < o.quiet.Load() {
		time.Sleep(newcomerEvery)
	}
}

// putOff returns how long a refusal at now is held back, and how many seconds its client is then told to wait. Who keeps to what he was told is
// answered at once: he may have another edge to ask. To hold who does not costs nothing, where to answer him costs nearly what a scan does.
// All are held a little longer, each by another time, or those who were refused together would be together for ever.
func (c *conn) putOff(now time.Time) (hold time.Duration, seconds int) {
	seconds = fewSeconds()
	if hold = max(0, c.away.Sub(now)); hold > 0 {
		hold += rand.N(holdMore)
		seconds = longestAway
	}
	c.away = now.Add(hold + time.Duration(seconds)*time.Second)
	return hold, seconds
}

// shed refuses a request that is too many, and reports whether it did.
func (s *Server) shed(ctx *fasthttp.RequestCtx, c *conn) bool {
	o := s.overload
	if c.asked++; c.asked%waitEvery != 0 && !o.watch.Load() {
		return false
	}
	waited, known := c.probe.waited()
	bound := waitScan
	if !ctx.IsGet() {
		bound = o.batch
	}
	waited = min(waited, ctx.Time().Sub(ctx.ConnTime())) // what a newcomer waited at the door is no queue
	if !known || !o.tooLong(waited, bound, ctx.Time()) {
		return false
	}
	o.refused.Add(1)
	s.shedBy["queue"].Inc()
	hold, seconds := c.putOff(ctx.Time())
	time.Sleep(hold)
	ctx.Response.Header.SetCanonical(cacheControl, noStore)
	failFor(ctx, seconds)
	return true
}

// failOverloaded refuses a request for which there is no room.
func failOverloaded(ctx *fasthttp.RequestCtx) { failFor(ctx, fewSeconds()) }

// failFor refuses a request, and asks not to be asked again for so many seconds.
func failFor(ctx *fasthttp.RequestCtx, seconds int) {
	fail(ctx, scanedge.Overloaded)
	ctx.Response.Header.SetCanonical(retryAfter, digits[seconds])
}

// fewSeconds are what those are told to wait who were refused: not all the same, or they would come back together.
func fewSeconds() int { return 1 + rand.IntN(longestAway) }

var digits = [longestAway + 1][]byte{1: []byte("1"), []byte("2"), []byte("3")}
