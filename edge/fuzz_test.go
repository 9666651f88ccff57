package edge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
)

// bytesConn is a connection whose peer has sent all that it ever will.
type bytesConn struct {
	in  io.Reader
	out bytes.Buffer
}

func (c *bytesConn) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *bytesConn) Write(b []byte) (int, error) { return c.out.Write(b) }
func (c *bytesConn) Close() error                { return nil }
func (c *bytesConn) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (c *bytesConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9999}
}
func (c *bytesConn) SetDeadline(time.Time) error      { return nil }
func (c *bytesConn) SetReadDeadline(time.Time) error  { return nil }
func (c *bytesConn) SetWriteDeadline(time.Time) error { return nil }

// Whatever comes on a connection, what goes back is answers of the contract, whole and one a request, and no cache may keep one.
func FuzzRequests(f *testing.F) {
	now := noon
	s := checking(f, 1, &now)
	const get, post = "GET /v1/scan/", "POST /v1/scan HTTP/1.1\r\nHost: e\r\n" + auth + "\r\n"
	for _, code := range oddCodes() {
		f.Add([]byte(get + strings.NewReplacer(" ", "%20", "\x00", "%00", "\n", "%0a").Replace(code) + " HTTP/1.1\r\nHost: e\r\n" + auth + "\r\n\r\n"))
	}
	good := rolling(&mint.key, "g", uint32(noon.Unix()/30))
	for _, text := range []string{
		get + good + " HTTP/1.1\r\n\r\n" + get + "demo-a%3Ag HTTP/1.1\r\nHost: e\r\n\r\n", get + "demo-a:g HTTP/1.0\r\n\r\n", get + "demo-a:g\r\n\r\n",
		get + good + " HTTP/1.1\r\nHost: e\r\nScanedge-Min-Offset: 99\r\n\r\n", get + good + " HTTP/1.1\r\nHost: e\r\nScanedge-Min-Offset: x\r\n\r\n",
		get + good + " HTTP/1.1\r\nHost: e\r\nAccept: text/plain\r\nX-Forwarded-For: 1, 2\r\n\r\n", get + strings.Repeat("%41", 400) + " HTTP/1.1\r\n\r\n",
		"GET http://e/v1/scan/demo-a:g HTTP/1.1\r\nHost: e\r\n" + auth + "\r\n\r\n", "GET * HTTP/1.1\r\n\r\n", "GET  HTTP/1.1\r\n\r\n", "\r\n\r\n", "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HEAD /v1/scan/demo-a:g HTTP/1.1\r\n\r\n" + get + good + " HTTP/1.1\r\n\r\n", "OPTIONS /v1/scan/x HTTP/1.1\r\nOrigin: https://a\r\nAccess-Control-Request-Method: GET\r\n\r\n",
		post + "Content-Length: 8\r\n\r\ndemo-a:g", post + "Content-Length: 8\r\n\r\ndemo", post + "Content-Length: -1\r\n\r\n", post + "Content-Length: 99999999\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n9\r\ndemo-a:g\n\r\n0\r\n\r\n", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz\r\n", post + "Expect: 100-continue\r\nContent-Length: 8\r\n\r\ndemo-a:g",
		post + "Content-Type: application/x-ndjson\r\nContent-Length: 10\r\n\r\n\"demo-a:g\"", post + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		conn, front := &bytesConn{in: bytes.NewReader(sent)}, s.HTTP()
		var methods, targets []string // of the requests that were handled; what could not be read as one is the last, and has none
		handle := front.Handler
		front.Handler = func(ctx *fasthttp.RequestCtx) {
			methods, targets = append(methods, string(ctx.Method())), append(targets, string(ctx.Request.Header.RequestURI()))
			handle(ctx)
		}
		_ = front.ServeConn(conn) // its error is about the connection
		answers := bufio.NewReader(&conn.out)
		for n := 0; ; n++ {
			if _, err := answers.Peek(1); err != nil {
				if n < len(methods) {
					t.Errorf("%q: %d answers to %d requests", sent, n, len(methods))
				}
				return
			}
			method, target := "", ""
			if n < len(methods) {
				method, target = methods[n], targets[n]
			} else if n > len(methods) {
				t.Fatalf("%q: more answers than requests", sent)
			}
			if !checkAnswer(t, sent, answers, method, target) {
				n--
			}
		}
	})
}

// checkAnswer reads one answer and holds it to the contract. It reports false for one that only announces another.
func checkAnswer(t *testing.T, sent []byte, answers *bufio.Reader, method, target string) bool {
	t.Helper()
	res, err := http.ReadResponse(answers, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q is answered with what is no HTTP: %v", sent, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%q: the answer is cut: %v", sent, err)
	}
	kind := res.Header.Get("Content-Type")
	switch {
	case res.StatusCode == http.StatusContinue:
		return false
	case res.Header.Get("Cache-Control") != "no-store":
		t.Errorf("%q: a cache may keep the answer: %v", sent, res.Header)
	case res.StatusCode == http.StatusNoContent && method == http.MethodOptions, method == http.MethodHead:
	case res.StatusCode == http.StatusOK:
		if kind == "application/json" && !json.Valid(body) || kind != "application/json" && kind != "application/x-ndjson" && kind != "text/plain" {
			t.Errorf("%q: %s %q", sent, kind, body)
		}
		if !answersTo(operationOf(method, target), res.StatusCode, "") {
			t.Errorf("%q: the contract has no %s", sent, res.Status)
		}
	default:
		var p scanedge.Problem
		if err := json.Unmarshal(body, &p); err != nil || p.Type.Title() == "" || p.Type.Status() != res.StatusCode || p.Status != res.StatusCode || kind != "application/problem+json" {
			t.Errorf("%q: %s %s %q, %v", sent, res.Status, kind, body, err)
		}
		if !answersTo(operationOf(method, target), res.StatusCode, string(p.Type)) {
			t.Errorf("%q: the contract has no %s %s", sent, res.Status, p.Type)
		}
	}
	return true
}
