package load

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// A path reaches the edge byte for byte, also when it is no valid URL; so do body and key.
func TestRequestsGoOutAsTheyStand(t *testing.T) {
	paths := []string{
		"/v1/scan/demo-a:d000000001", "/v1/scan/demo-a%3Ad1", "/v1/scan/a:%zz", "/v1/scan/a:%4", "/v1/scan/%", "/v1/scan/a:%00",
		"/v1/scan/a:%0A", "/v1/scan/a://x", "/v1/scan/a:..//../b", "/v1/scan/a:/", "/v1/scan/a:%ff", "/v1/scan/a:+%2B", "/v1/scan",
	}
	keys := []string{"", "-", "another"}
	want := func(i uint64) string {
		method, body, key := "GET", "", []string{"Bearer key", "", "Bearer another"}[i%3]
		path := paths[i%uint64(len(paths))]
		if path == "/v1/scan" {
			method, body = "POST", "a:b\r\nc:d"
		}
		return strings.Join([]string{method, path, key, body}, "\n")
	}
	edge := serve(t, "edge-1", func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString(strings.Join([]string{
			string(ctx.Method()), string(ctx.Request.Header.RequestURI()), string(ctx.Request.Header.Peek("Authorization")), string(ctx.PostBody()),
		}, "\n"))
	})
	p := plan(Constant{uint64(9 * len(paths)), 100 * time.Millisecond}, plain, edge)
	p.Key = "key"
	p.Route = func(i uint64) Route { return Route{Kind: Kind(i / 3 % 3)} }
	p.Visit = func(i uint64, v *Visit) {
		v.Path, v.Body, v.Key = append(v.Path[:0], paths[i%uint64(len(paths))]...), v.Body[:0], keys[i%3]
		if string(v.Path) == "/v1/scan" {
			v.Body = append(v.Body, "a:b\r\nc:d"...)
		}
	}
	p.Judge = func(v *Visit, a *Answer) Judgement {
		if got := string(a.Body); got != want(v.Number) {
			return Judgement{"wrong", &Example{Code: want(v.Number), Got: got}}
		}
		return Judgement{Outcome: "right"}
	}
	if r := run(t, t.Context(), p); r.Wrong > 0 || r.Accounts.Outcomes["right"] != p.Schedule.Visits() {
		t.Errorf("%v, %s: %+v", r.Accounts.Outcomes, r.Failure, r.Examples)
	}
}

func TestAnswersBringStatusAndHeaders(t *testing.T) {
	edge := serve(t, "edge-1", func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/0" {
			ctx.Response.Header.SetNoDefaultContentType(true)
			return
		}
		ctx.SetStatusCode(301)
		ctx.Response.Header.Set("Location", "http://192.0.2.1/")
		ctx.SetContentType("application/problem+json")
		ctx.Response.Header.Set("Cache-Control", "no-store")
	})
	p := plan(Constant{2, 10 * time.Millisecond}, []Kind{Kept}, edge)
	p.Judge = func(v *Visit, a *Answer) Judgement {
		bare := a.Code == 200 && len(a.ContentType)+len(a.CacheControl) == 0
		full := a.Code == 301 && string(a.ContentType) == "application/problem+json" && string(a.CacheControl) == "no-store"
		if v.Number == 0 && bare || v.Number == 1 && full {
			return Judgement{Outcome: "right"}
		}
		return Judgement{"wrong", &Example{Got: string(a.ContentType)}}
	}
	if r := run(t, t.Context(), p); r.Accounts.Outcomes["right"] != 2 {
		t.Errorf("%v %+v", r.Accounts.Outcomes, r.Examples)
	}
}

// An edge that hangs up, or talks nonsense, is asked once: a second try would hide the first.
func TestNothingIsTriedTwice(t *testing.T) {
	for name, says := range map[string]string{
		"hangs up": "", "garbage": "\x00\x01\x02 nonsense\r\n\r\n", "no HTTP": "SSH-2.0-OpenSSH\r\n\r\n",
		"half an answer": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"two answers":    strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 2),
		"endless":        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nhalf",
	} {
		for _, kind := range plain {
			edge, asked := odd(t, says)
			r := run(t, t.Context(), plan(Constant{1, time.Millisecond}, []Kind{kind}, edge))
			if r.Accounts.Outcomes[Failed] != 1 || !strings.HasPrefix(r.Failure, "edge-7: ") || asked.Load() != 1 {
				t.Errorf("%s, %v: %v, asked %d times: %s", name, kind, r.Accounts.Outcomes, asked.Load(), r.Failure)
			}
		}
	}
}

// odd is an edge that says something to whatever it is asked, and hangs up.
func odd(t *testing.T, says string) (Edge, *atomic.Int32) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, done := new(atomic.Int32), make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				if n, _ := conn.Read(make([]byte, 1024)); n > 0 {
					asked.Add(1)
					_, _ = conn.Write([]byte(says))
				}
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return Edge{Name: "edge-7", URL: "http://" + ln.Addr().String()}, asked
}

// Connections come from as many addresses as are asked for.
func TestSources(t *testing.T) {
	var from [4]atomic.Int32
	edge := serve(t, "a", echo(func(_ string, ctx *fasthttp.RequestCtx) {
		ip := ctx.RemoteIP().To4()
		if ip[0] == 127 && ip[1] == 1 && ip[2] == 0 && ip[3] <= 3 {
			from[ip[3]].Add(1)
		}
	}))
	p := plan(Constant{300, 100 * time.Millisecond}, []Kind{New}, edge)
	p.Sources = 3
	if r := run(t, t.Context(), p); r.Accounts.Outcomes["right"] != 300 {
		t.Errorf("%v, %s", r.Accounts.Outcomes, r.Failure)
	}
	for k := 1; k <= 3; k++ {
		if n := from[k].Load(); n != 100 {
			t.Errorf("%d from address %d", n, k)
		}
	}
}
