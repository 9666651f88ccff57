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

// What refusals may cost: each takes about as much of the processor as a scan does, and those who come again at once could have it all.
const (
	refusalCost  = 30 * time.Microsecond // where to wake the client is dear, as on virtual machines; a third of it elsewhere
	refusalShare = 20                    // a twentieth of what the process uses
	longestHold  = time.Second
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
// Refusals cost too. Where they would take more than their share they are held back, up to a second, so that a client that tries again
// at once is slowed by them, and new connections are accepted more slowly, so that those who have one go first. All its methods are safe for concurrent use.
type overload struct {
	base    time.Time
	batch   time.Duration // what a batch may have waited while there is a queue
	samples atomic.Int64  // of the interval, which begins with the first
	ends    atomic.Int64  // when the interval may, in nanoseconds from base
	least   atomic.Int64  // wait of the interval, in nanoseconds
	queue   atomic.Bool   // there was one in the last interval
	stood   atomic.Int64  // when it was last seen, in nanoseconds from base
	watch   atomic.Bool   // look at every request: there was one, or the last that was looked at had waited
	hold    atomic.Int64  // nanoseconds by which refusals are held back
	refused atomic.Int64  // requests in the interval

	cpu   atomic.Int64 // nanoseconds that the process had used when the interval began
	quiet atomic.Int64 // when newcomers need not wait any more, in nanoseconds from base
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
		o.pace(refused, usedCPU())
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

// pace holds refusals back for longer if those of the last interval cost too much of what the process used, and else for half as long: to hold
// too many would leave it nothing to do.
func (o *overload) pace(refused int64, cpu time.Duration) {
	used := int64(cpu) - o.cpu.Swap(int64(cpu))
	hold := o.hold.Load()
	if refused*int64(refusalCost) > used/refusalShare {
		hold = min(max(2*hold, int64(time.Millisecond)), int64(longestHold))
	} else if hold /= 2; hold < int64(time.Millisecond) {
		hold = 0
	}
	o.hold.Store(hold)
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
	if hold := o.hold.Load(); hold > 0 {
		time.Sleep(time.Duration(hold - hold/4 + rand.Int64N(hold/2)))
	}
	ctx.Response.Header.SetCanonical(cacheControl, noStore)
	failOverloaded(ctx)
	return true
}

// fewSeconds are what those are told to wait who were refused: not all the same, or they would come back together.
var fewSeconds = [][]byte{[]byte("1"), []byte("2"), []byte("3")}

func failOverloaded(ctx *fasthttp.RequestCtx) {
	fail(ctx, scanedge.Overloaded)
	ctx.Response.Header.SetCanonical(retryAfter, fewSeconds[rand.IntN(len(fewSeconds))])
}
