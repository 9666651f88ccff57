package load

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
)

// ask sends visit i through the transport, as vegeta would.
func ask(t *Transport, i uint64) (*http.Response, error) {
	r := httptest.NewRequest(http.MethodGet, blankURL, nil)
	r.Header.Set(numberHeader, strconv.FormatUint(i, 10))
	return t.RoundTrip(r)
}

func newTransport(t *testing.T, visit func(uint64) *Visit, edges ...Edge) *Transport {
	t.Helper()
	transport, err := NewTransport(edges, "key", visit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.Close)
	return transport
}

// A path reaches the edge byte for byte, also when it is no valid URL; so do body and key, and vegeta's header does not.
func TestTransportSendsPathsAsTheyStand(t *testing.T) {
	paths := []string{
		"/v1/scan/demo-a:d000000001", "/v1/scan/demo-a%3Ad1", "/v1/scan/a:%zz", "/v1/scan/a:%4", "/v1/scan/%", "/v1/scan/a:%00",
		"/v1/scan/a:%0A", "/v1/scan/a://x", "/v1/scan/a:..//../b", "/v1/scan/a:/", "/v1/scan/a:%ff", "/v1/scan/a:+%2B",
	}
	edge := serve(t, "edge-1", func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString(strings.Join([]string{
			string(ctx.Method()), string(ctx.Request.Header.RequestURI()), string(ctx.Request.Header.Peek("Authorization")),
			string(ctx.Request.Header.Peek(numberHeader)), string(ctx.PostBody()),
		}, "\n"))
	})
	transport := newTransport(t, func(i uint64) *Visit {
		if i == uint64(len(paths)) {
			return &Visit{Path: []byte("/v1/scan"), Body: []byte("a:b\r\nc:d")}
		}
		return &Visit{Path: []byte(paths[i])}
	}, edge)
	for i := range len(paths) + 1 {
		want := "POST\n/v1/scan\nBearer key\n\na:b\r\nc:d"
		if i < len(paths) {
			want = "GET\n" + paths[i] + "\nBearer key\n\n"
		}
		resp, err := ask(transport, uint64(i))
		if err != nil {
			t.Errorf("visit %d: %v", i, err)
			continue
		}
		if got, err := io.ReadAll(resp.Body); string(got) != want || err != nil {
			t.Errorf("visit %d reached the edge as %q, want %q (%v)", i, got, want, err)
		}
	}
	if sent := transport.Sent(); sent != uint64(len(paths)+1) {
		t.Errorf("%d sent", sent)
	}
}

func TestTransportBringsStatusAndHeaders(t *testing.T) {
	edge := serve(t, "edge-1", func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/bare" {
			ctx.Response.Header.SetNoDefaultContentType(true)
			return
		}
		ctx.SetStatusCode(301)
		ctx.Response.Header.Set("Location", "http://192.0.2.1/")
		ctx.SetContentType("application/problem+json")
		ctx.Response.Header.Set("Cache-Control", "no-store")
	})
	transport := newTransport(t, func(i uint64) *Visit { return &Visit{Path: []byte([]string{"/", "/bare"}[i])} }, edge)
	resp, err := ask(transport, 0)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 301 || resp.Header.Get("Content-Type") != "application/problem+json" ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Location") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if resp, err = ask(transport, 1); err != nil || len(resp.Header) != 0 {
		t.Errorf("header made up for an answer without any: %v (%v)", resp.Header, err)
	}
}

// An edge that hangs up is asked once: a second try would hide the first.
func TestTransportTriesOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if n, _ := conn.Read(make([]byte, 1024)); n > 0 {
				asked.Add(1)
			}
			_ = conn.Close()
		}
	}()
	transport := newTransport(t, func(uint64) *Visit { return &Visit{Path: []byte("/")} },
		Edge{Name: "edge-7", URL: "http://" + ln.Addr().String()})
	if _, err := ask(transport, 0); err == nil || !strings.HasPrefix(err.Error(), "edge-7: ") {
		t.Errorf("error %v, want one of edge-7", err)
	}
	_ = ln.Close()
	<-done
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestTransportRefusesOddInput(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:80", "https://127.0.0.1:80", "http://127.0.0.1", "http://%zz:1"} {
		if _, err := NewTransport([]Edge{{Name: "edge-3", URL: url}}, "", nil); err == nil || !strings.Contains(err.Error(), "edge-3") {
			t.Errorf("%q: error %v, want one that names the edge", url, err)
		}
	}
	transport := newTransport(t, nil)
	if _, err := transport.RoundTrip(httptest.NewRequest("GET", blankURL, nil)); err == nil {
		t.Error("a request without a number was sent")
	}
}
