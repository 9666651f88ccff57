package scan

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge"
)

// Handler is what a scan costs without a network, in nanoseconds, over random subjects of the whole table. It is one loop on one
// processor, the median of some rounds.
type Handler struct {
	Lookup  float64 `json:"lookup_ns"`         // of the table alone, each key after the record of the one before is there
	Plain   float64 `json:"plain_ns"`          // from a request that was read to an answer that may be written
	Rolling float64 `json:"rolling_ns"`        //
	Signed  float64 `json:"signed_ns"`         // whose signature was verified before
	HTTP    float64 `json:"plain_and_http_ns"` // from the request's bytes to the answer's: fasthttp's reading and writing too
	Floor   float64 `json:"http_ns"`           // of which this is what fasthttp takes for a constant answer of that size
	Allocs  float64 `json:"allocations"`       // a scan: the most of these

	PlainBeyond   float64 `json:"plain_beyond_lookup_ns"`
	RollingBeyond float64 `json:"rolling_beyond_lookup_ns"`
}

const (
	insideScans = 1 << 15 // in a round
	insideAhead = 64      // of them read ahead: few, so that they are near when they are handled
)

// inside measures the handler of this process's server.
func (e *filled) inside(rounds int) *Handler {
	time.Sleep(time.Second) // until the connections of the load before have ended
	h, a := new(Handler), newAsks(e.count)
	n := int(min(insideScans, e.count/insideAhead*insideAhead))
	plain, rolling, signed := requests(n, a.plain), requests(n, a.rolling(n)), requests(n, a.again())
	body, kind := []byte(e.answer()), []byte("application/json")
	constant := func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.SetContentTypeBytes(kind)
		ctx.Response.SetBody(body)
	}
	loops := []struct {
		to  *float64
		run func() time.Duration
	}{
		{&h.Lookup, e.lookups(a, n)}, {&h.Plain, e.handle(plain)}, {&h.Rolling, e.handle(rolling)}, {&h.Signed, e.handle(signed)},
		{&h.HTTP, throughHTTP(plain, e.server.Handle)}, {&h.Floor, throughHTTP(plain, constant)},
	}
	took := make([][]float64, len(loops))
	for range rounds {
		for i, l := range loops {
			took[i] = append(took[i], float64(l.run().Nanoseconds())/float64(n))
		}
	}
	for _, l := range loops[:4] {
		h.Allocs = max(h.Allocs, allocations(l.run)/float64(n))
	}
	for i, l := range loops {
		*l.to = median(took[i])
	}
	h.PlainBeyond, h.RollingBeyond = h.Plain-h.Lookup, h.Rolling-h.Lookup
	return h
}

// allocations is how many objects a loop allocates. Of three times the least counts, for the runtime may allocate beside it.
func allocations(loop func() time.Duration) float64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		loop()
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	return float64(least)
}

// requests are n requests.
func requests(n int, ask func([]byte) []byte) (all [][]byte) {
	for range n {
		all = append(all, ask(nil))
	}
	return all
}

// handle returns a loop that has all requests handled, whose reading does not count.
func (e *filled) handle(all [][]byte) func() time.Duration {
	var some [insideAhead]fasthttp.RequestCtx
	for i := range some {
		some[i].Init(&fasthttp.Request{}, nil, nil)
	}
	read := newReader()
	return func() (took time.Duration) {
		for at := 0; at < len(all); at += len(some) {
			for i := range some {
				read(&some[i], all[at+i])
			}
			began := time.Now()
			for i := range some {
				e.server.Handle(&some[i])
			}
			took += time.Since(began)
		}
		return took
	}
}

// throughHTTP returns a loop that has all requests read, handled and answered.
func throughHTTP(all [][]byte, handler fasthttp.RequestHandler) func() time.Duration {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	read, out := newReader(), bufio.NewWriter(io.Discard)
	return func() time.Duration {
		began := time.Now()
		for _, request := range all {
			read(&ctx, request)
			handler(&ctx)
			_ = ctx.Response.Write(out)
		}
		return time.Since(began)
	}
}

// newReader returns a function that reads a request as fasthttp's server does.
func newReader() func(ctx *fasthttp.RequestCtx, request []byte) {
	var raw bytes.Reader
	in := bufio.NewReaderSize(&raw, 4<<10)
	return func(ctx *fasthttp.RequestCtx, request []byte) {
		ctx.Request.Reset()
		ctx.Response.Reset()
		raw.Reset(request)
		in.Reset(&raw)
		if err := ctx.Request.Read(in); err != nil {
			panic(err) // it is of our own make
		}
	}
}

// lookups returns a loop of n lookups that each wait for the one before.
func (e *filled) lookups(a *asks, n int) func() time.Duration {
	keys := make([]cache.Key, n)
	for i := range keys {
		keys[i] = e.vouch.Seed.Key(appendSubject(nil, a.draw()))
	}
	return func() time.Duration {
		began, at := time.Now(), 0
		for range n {
			r, _ := e.vouch.Table.Lookup(keys[at])
			at = (at + 1 + int(r&1)>>1) % n // r&1>>1 is 0, which the processor does not know
		}
		sink.Store(int64(at))
		return time.Since(began)
	}
}

var sink atomic.Int64 // takes what loops find, so that they are not left out

// Inside is how long scans took inside the edge in one round, and how long a loop took that does nothing on the same processor, in
// microseconds.
type Inside struct {
	Row   string `json:"row"`
	Scans uint64 `json:"scans"`

	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	P9999 float64 `json:"p9999_us"`

	EmptyP50   float64 `json:"empty_p50_us"`
	EmptyP99   float64 `json:"empty_p99_us"`
	EmptyP9999 float64 `json:"empty_p9999_us"`
}

func insideOf(row string, t edge.Times, empty []time.Duration) Inside {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	at := func(q float64) float64 { return us(empty[min(int(q*float64(len(empty))), len(empty)-1)]) }
	return Inside{row, t.Count(), us(t.Quantile(0.5)), us(t.Quantile(0.99)), us(t.Quantile(0.9999)), at(0.5), at(0.99), at(0.9999)}
}

// emptyLoop reads the clock until each has passed, again and again for so long, and returns how long each time took, sorted.
func emptyLoop(core int, each, long time.Duration) []time.Duration {
	unpin, err := pinned(core)
	if err != nil {
		return []time.Duration{0}
	}
	defer unpin()
	took := make([]time.Duration, 0, 1+long/max(each, 1))
	for end := time.Now().Add(long); ; {
		began := time.Now()
		passed := time.Duration(0)
		for passed < each {
			passed = time.Since(began)
		}
		took = append(took, passed)
		if began.After(end) {
			break
		}
	}
	slices.Sort(took)
	return took
}
