package edge

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// queueing plays a server that answers one request after the other: each waits until those before it are done. It tells when each is served
// or refused, as the kernel would: the wait in whole ticks of tick.
type queueing struct {
	scan, refusal, tick time.Duration
}

type queueingResult struct {
	served, refused int
	waits           []time.Duration // of those that were served after the first second
}

// play lets requests come at random, at a rate times what the server can serve, for a time.
func (q queueing) play(o *overload, rate float64, d time.Duration, r *rand.Rand) (res queueingResult) {
	var came, free time.Duration
	for came < d {
		came += time.Duration(r.ExpFloat64() * float64(q.scan) / rate)
		free = max(free, came)
		waited := free - came
		if o.tooLong(waited/q.tick*q.tick, waitScan, o.base.Add(free)) {
			o.refused.Add(1)
			res.refused++
			free += q.refusal
			continue
		}
		res.served++
		if came > time.Second {
			res.waits = append(res.waits, waited)
		}
		free += q.scan
	}
	return res
}

// At any load the server is as busy as it can be, what it serves has not waited long, and what it need not refuse it doesn't.
func TestOverloadKeepsBusyAndQuick(t *testing.T) {
	for _, tick := range []time.Duration{time.Millisecond, 4 * time.Millisecond} {
		for _, load := range []float64{0.5, 0.9, 1, 1.2, 2, 5} {
			t.Run(fmt.Sprintf("%v/%v", tick, load), func(t *testing.T) {
				seed := rand.Uint64()
				r := rand.New(rand.NewPCG(seed, 0))
				q := queueing{scan: 200 * time.Microsecond, refusal: 4 * time.Microsecond, tick: tick}
				o := newOverload()
				const d = 20 * time.Second
				res := q.play(o, load, d, r)
				f := float64(q.refusal) / float64(q.scan)
				most := float64(d/q.scan) * min(load, (1-load*f)/(1-f))
				if load < 1 && res.refused > 0 {
					t.Errorf("%d were refused without need (seed %d)", res.refused, seed)
				}
				if float64(res.served) < 0.95*most {
					t.Errorf("%d were served of %.0f that could be (seed %d)", res.served, most, seed)
				}
				bound := waitScan
				if load < 2 {
					bound *= 2 // the queue comes and goes
				}
				slices.Sort(res.waits)
				if p99 := res.waits[len(res.waits)*99/100]; p99 > bound+tick {
					t.Errorf("of those that were served one of a hundred waited %v and more (seed %d)", p99, seed)
				}
			})
		}
	}
}

// A burst is served; what stays is refused; and when it went, nothing is.
func TestOverloadTellsBurstsFromQueues(t *testing.T) {
	o, now := newOverload(), time.Now()
	ask := func(n int, waited, every time.Duration) (refused int) {
		for range n {
			if now = now.Add(every); o.tooLong(waited, waitScan, now) {
				refused++
			}
		}
		return refused
	}
	if ask(200, 50*time.Millisecond, waitInterval/400) > 0 {
		t.Error("a burst of half an interval was refused")
	}
	ask(1, 0, waitInterval)
	if ask(100, 50*time.Millisecond, waitInterval/400) > 0 {
		t.Error("a burst was refused after one that had not waited")
	}
	if n := ask(400, 50*time.Millisecond, waitInterval/100); n < 290 || n > 330 {
		t.Errorf("%d of 400 were refused of a queue four intervals long", n)
	}
	if ask(100, waitScan, waitInterval/1000) > 0 {
		t.Error("one was refused that had not waited too long")
	}
	ask(100, 0, 2*waitInterval/waitSamples)
	if ask(100, 50*time.Millisecond, waitInterval/200) > 0 {
		t.Error("the queue is gone, and one was refused")
	}
	ask(100, 0, 2*waitInterval/waitSamples)
	if ask(waitSamples-2, 50*time.Millisecond, 10*time.Second) > 0 {
		t.Error("a few that waited were taken for a queue")
	}
}

// A process that is stopped for some of each interval, as by a quota, makes many wait, and no queue that stays: after an overload it may take that
// for one, but not for long.
func TestOverloadOfAProcessorThatComesAndGoes(t *testing.T) {
	o, now := newOverload(), time.Now()
	stops := func(d time.Duration) (refused int) {
		for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
			waited := max(0, 30*time.Millisecond-time.Duration(now.UnixMilli()%100)*time.Millisecond)
			if o.tooLong(waited, waitScan, now) {
				o.refused.Add(1)
				refused++
			}
		}
		return refused
	}
	if n := stops(10 * time.Second); n > 0 {
		t.Errorf("%d were refused without an overload", n)
	}
	for range 400 {
		now = now.Add(time.Millisecond)
		if o.tooLong(50*time.Millisecond, waitScan, now) {
			o.refused.Add(1)
		}
	}
	stops(waitDoubt + waitInterval)
	if n := stops(10 * time.Second); n > 0 {
		t.Errorf("%d were refused long after it", n)
	}
}

// Who was refused and keeps to what he was told is answered at once, as often as it happens; who does not is held until then, and not together with others.
func TestWhoDoesNotStayAwayIsHeld(t *testing.T) {
	c, now := new(conn), time.Now()
	for range 100 {
		hold, seconds := c.putOff(now)
		if hold != 0 || seconds < 1 || seconds > longestAway {
			t.Fatalf("held for %v and told %d s, though it had stayed away", hold, seconds)
		}
		now = now.Add(time.Duration(seconds) * time.Second)
	}
	holds := map[time.Duration]bool{}
	for range 100 {
		c := new(conn)
		_, told := c.putOff(now)
		asked := now.Add(time.Millisecond)
		for range 3 {
			left := now.Add(time.Duration(told) * time.Second).Sub(asked)
			hold, seconds := c.putOff(asked)
			if hold < left || hold >= left+holdMore || seconds != longestAway {
				t.Fatalf("held for %v and told %d s, where %v were left of what it was told", hold, seconds, left)
			}
			holds[hold] = true
			now, told = asked.Add(hold), seconds
			asked = now
		}
	}
	if len(holds) < 100 {
		t.Errorf("300 were held for only %d different times", len(holds))
	}
}

// A request over a real socket is refused when the kernel says that it waited, with all that a client needs to wait in its turn.
func TestShedOverASocket(t *testing.T) {
	s := serving(t)
	front, busy := s.HTTP(), time.Duration(0)
	handle := front.Handler
	var away time.Time
	front.Handler = func(ctx *fasthttp.RequestCtx) {
		time.Sleep(busy)
		handle(ctx)
		if refused := ctx.Response.StatusCode() == http.StatusServiceUnavailable; refused && time.Now().Before(away) {
			t.Error("refused before the time that it was told to stay away until")
		}
		if c := doorOf(ctx.Conn()); away.IsZero() && !c.away.IsZero() {
			away = time.Now().Add(4 * busy)
			c.away = away // or the next refusal would take seconds
		}
	}
	conn := dialTCP(t, s, front)
	s.overload.queue.Store(true)
	s.overload.watch.Store(true)
	if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth); res.StatusCode != http.StatusOK {
		t.Fatal("one that had not waited: ", res.Status, body)
	}
	busy = 5 * waitScan
	time.Sleep(busy) // or the connection would be younger than the wait
	res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth)
	after := res.Header.Get("Retry-After")
	if res.StatusCode != http.StatusServiceUnavailable || len(after) != 1 || after < "1" || after > "3" || res.Close {
		t.Errorf("%s, Retry-After %q, closed %v: %s", res.Status, after, res.Close, body)
	}
	s.overload.batch = time.Hour // a machine that is busy adds to what anything waits
	if res, body := ask(t, conn, "POST /v1/scan", "demo-a:g", auth); res.StatusCode != http.StatusOK {
		t.Error("a batch that had not waited so long: ", res.Status, body)
	}
	if res, _ := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Error("one that waited again: ", res.Status)
	}
	if n := s.shedBy["queue"].Get(); n != 2 {
		t.Errorf("%d counted", n)
	}
	s.overload.queue.Store(false)
	if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth); res.StatusCode != http.StatusOK {
		t.Error("one that waited, without a queue: ", res.Status, body)
	}
}

// dialTCP is a connection that came in by a door of s.
func dialTCP(t *testing.T, s *Server, front *fasthttp.Server) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, front, s.Door(Bounds{Connections: 10, PerAddress: 10}).Listen(l))
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
