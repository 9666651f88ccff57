package edge

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

// request is a scanner's scan as the server's handler sees it.
func request(code, accept string) *fasthttp.RequestCtx {
	return requestWith(code, "Authorization", "Bearer "+testKey, "Accept", accept)
}

// requestWith is a scan with those headers, names and values in turn.
func requestWith(code string, header ...string) *fasthttp.RequestCtx {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetRequestURI("/v1/scan/" + code)
	for i := 0; i < len(header); i += 2 {
		ctx.Request.Header.Set(header[i], header[i+1])
	}
	return &ctx
}

// Whatever a scan ends in, it allocates nothing.
func TestScanAllocatesNothing(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	s.now = reckon
	s.Hold([]string{"demo-a", "demo-b", "demo-d", "demo-e"})
	v := *s.holdings()["demo-a"].vouch.Load()
	v.Beat = time.Now()
	s.Publish("demo-a", v)
	s.Publish("demo-d", Vouch{Table: new(cache.Table), Beat: time.Now().Add(-time.Hour)})
	s.Publish("demo-e", Vouch{Table: new(cache.Table), Beat: time.Now(), PlainOff: true})
	lapsing, err := cache.NewRecord(cache.Yellow, 63, noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	v.Table.Put(v.Seed.Key([]byte("old")), lapsing)
	step, unix := passcode.Step(time.Now().Unix()), time.Now().Unix()
	stranger := passcode.NewKey("demo-a", 9, make([]byte, 32))
	key := []string{"Authorization", "Bearer " + testKey, "Accept", "*/*"}
	met := map[outcome]bool{}
	for want, c := range map[string]struct {
		code   string
		header []string
	}{
		"green":                {"demo-a:g", key},
		"red":                  {"demo-a:%72", append(key[:2:2], "Accept", "text/plain")},
		"lapsed":               {"demo-a:old", key},
		"unknown-subject":      {"demo-a:none", key},
		"malformed-code":       {"nocolon", key},
		"issuer-not-held":      {"demo-c:x", key},
		"not-ready":            {"demo-b:x", key},
		"too-stale":            {"demo-d:x", key},
		"plain-forbidden":      {"demo-e:x", key},
		"no-key":               {"demo-a:g", nil},
		"no-key by a key":      {"demo-a:g", []string{"Authorization", "Bearer wrong"}},
		"behind":               {"demo-a:g", append(key[:2:2], "Scanedge-Min-Offset", "demo-b=1, demo-a=18")},
		"green, not behind":    {"demo-a:g", append(key[:2:2], "Scanedge-Min-Offset", "17")},
		"green by a rolling":   {rolling(&mint.key, "g", step), key},
		"green of a holder":    {rolling(&mint.key, "g", step), nil},
		"forged-code":          {rolling(&stranger, "g", step), key},
		"code-expired":         {rolling(&mint.key, "g", step-9), key},
		"clock-ahead":          {rolling(&mint.key, "g", step+9), key},
		"red by a signed":      {signed("r", unix-60, unix+600), key},
		"not-yet-valid":        {signed("r", unix+600, unix+900), key},
		"code-expired, signed": {signed("r", unix-600, unix-60), key},
	} {
		ctx := requestWith(c.code, c.header...)
		handle := func() {
			ctx.Response.Reset()
			s.Handle(ctx)
		}
		before := s.Scans()
		handle()
		n := testing.AllocsPerRun(200, handle)
		if n != 0 || s.Scans() != before+202 {
			t.Errorf("%s: %v allocations", want, n)
		}
		for o := range outcomes {
			if strings.HasPrefix(want, words[o]) {
				met[o] = true
				if got := string(ctx.Response.Body()); !strings.Contains(got, words[o]) {
					t.Errorf("%s: answered %s", want, got)
				}
			}
		}
	}
	for o := range outcomes {
		if !met[o] && o != yellow && o != void && o != tooFast && o != lockedOut {
			t.Errorf("no scan ended in %v", o)
		}
	}
}

// A scan in a table that the processor's caches hold in part: within the handler, and from the request's bytes to the answer's, beside the
// same server with a constant answer. cpu-ns/op is what each had of a processor, on a machine with other work.
//
//	go test -run xxx -bench Handle ./edge
func BenchmarkHandle(b *testing.B) {
	at := noon
	s := checking(b, 20, &at) // so that a code lives as long as the benchmark
	s.now = reckon
	v := *s.holdings()["demo-a"].vouch.Load()
	v.Beat = time.Now()
	for i := range 100_000 {
		v.Table.Put(v.Seed.Key(fmt.Appendf(nil, "d%09d", i)), 1<<24-1)
	}
	s.Publish("demo-a", v)
	now := time.Now().Unix()
	const subject = "d000000017"
	key := []string{"Host", "127.0.0.1:7001", "Authorization", "Bearer " + testKey, "Accept", "*/*"}
	rollingCode := rolling(&mint.key, subject, passcode.Step(now))
	for _, c := range []struct {
		name, code string
		header     []string
	}{
		{"plain", "demo-a:" + subject, key}, {"rolling", rollingCode, key}, {"rolling-holder", rollingCode, key[:2]},
		{"signed-repeat", signed(subject, now-60, now+3600), key}, {"unknown", "demo-a:nobody", key},
		{"forged", rollingCode[:len(rollingCode)-4] + "AAAA", key},
	} {
		b.Run(c.name, func(b *testing.B) {
			ctx := requestWith(c.code, c.header...)
			timed(b, func(int) {
				ctx.Response.Reset()
				s.Handle(ctx)
			}, new(time.Duration))
		})
		b.Run(c.name+"-bytes", func(b *testing.B) { serveBytes(b, s.Handle, c.code, c.header) })
	}
	b.Run("constant-bytes", func(b *testing.B) {
		answer := []byte(`{"issuer":"demo-a","status":"green","offset":17,"age_ms":456}` + "\n")
		serveBytes(b, func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.SetCanonical(cacheControl, noStore)
			ctx.Response.Header.SetContentTypeBytes(typeJSON)
			ctx.Response.AppendBody(answer)
		}, "demo-a:"+subject, key)
	})
	// Codes that were never shown before: of one step and many subjects, or for many times.
	first := func(name string, code func(i int) string) {
		b.Run(name, func(b *testing.B) {
			const n = 2000
			var forgetting time.Duration
			var ctxs []*fasthttp.RequestCtx
			for i := range n {
				ctxs = append(ctxs, requestWith(code(i), key...))
			}
			timed(b, func(i int) {
				if i%n == 0 {
					b.StopTimer()
					began := threadTime()
					s.seen = newMarks(1 << 16)
					s.signatures.Reset()
					forgetting += threadTime() - began
					b.StartTimer()
				}
				ctxs[i%n].Response.Reset()
				s.Handle(ctxs[i%n])
			}, &forgetting)
		})
	}
	first("rolling-first", func(i int) string { return rolling(&mint.key, fmt.Sprintf("d%09d", i), passcode.Step(now)) })
	first("signed-first", func(i int) string { return signed(subject, now-60, now+3600+int64(i)) })
}

// timed is the loop of a benchmark; what is in less is not of it.
func timed(b *testing.B, do func(i int), less *time.Duration) {
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, n := threadTime(), 0
	for ; b.Loop(); n++ {
		do(n)
	}
	b.ReportMetric(float64(threadTime()-began-*less)/float64(n), "cpu-ns/op")
}

// serveBytes has a server answer the same bytes over and over, on a connection that costs nothing.
func serveBytes(b *testing.B, handle fasthttp.RequestHandler, code string, header []string) {
	raw := "GET /v1/scan/" + code + " HTTP/1.1\r\n"
	for i := 0; i < len(header); i += 2 {
		raw += header[i] + ": " + header[i+1] + "\r\n"
	}
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	conn := &againConn{b: b, raw: []byte(raw + "\r\n")}
	s := New(metrics.NewSet())
	front := s.HTTP()
	front.Handler = handle
	began := threadTime()
	if err := front.ServeConn(byDoor(s, conn)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(threadTime()-began)/float64(conn.n), "cpu-ns/op")
}

// againConn sends the same request again whenever the answer before was written.
type againConn struct {
	net.Conn
	b   *testing.B
	raw []byte
	n   int
}

func (c *againConn) Read(p []byte) (int, error) {
	if !c.b.Loop() {
		return 0, io.EOF
	}
	c.n++
	return copy(p, c.raw), nil
}
func (c *againConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *againConn) Close() error                     { return nil }
func (c *againConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *againConn) LocalAddr() net.Addr              { return c.RemoteAddr() }
func (c *againConn) SetDeadline(time.Time) error      { return nil }
func (c *againConn) SetReadDeadline(time.Time) error  { return nil }
func (c *againConn) SetWriteDeadline(time.Time) error { return nil }
