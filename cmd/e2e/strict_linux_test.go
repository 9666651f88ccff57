package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// strict scans one code over and over as the least forgiving gate does: it knows HTTP's rules, so a connection of which an answer says
// `Connection: close` is left after that answer, and does nothing again. What goes wrong in any other way, a connection that is refused, reset or
// closed, an answer other than 200, is a scan that was lost.
type strict struct {
	addr, key, body string
	tls             *tls.Config   // nil: plain
	apart           bool          // each scan on a connection of its own
	pause           time.Duration // between two scans
	refused         *atomic.Int64 // counts those that the edge had no time for; nil: they are lost too
	stale           bool          // stale answers will do
	request         []byte

	scans, conns, goodbyes *atomic.Int64
	lost                   *losses
}

// losses are what went wrong, the first few in words.
type losses struct {
	mu    sync.Mutex
	count int
	first []string
}

func (l *losses) add(format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count++; len(l.first) < 10 {
		l.first = append(l.first, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, a...))
	}
}

func (l *losses) all() (int, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, strings.Join(l.first, "\n")
}

// gates are strict clients of an edge, each kind some times, until end is called. No client tries anything twice.
type gates struct {
	scans, conns, goodbyes atomic.Int64
	lost                   losses
	stop                   chan struct{}
	running                sync.WaitGroup
}

// strictLoad starts one against an edge, with the code of a subject that there is.
func strictLoad(t *testing.T, edge, origin *node, code string) *gates {
	return someLoad(t, edge, origin, code, false)
}

// someLoad is strictLoad, for which stale answers may do: while a test holds up the log.
func someLoad(t *testing.T, edge, origin *node, code string, stale bool) *gates {
	t.Helper()
	l := &gates{stop: make(chan struct{})}
	plain, secure := strings.TrimPrefix(edge.at.Scan, "http://"), strings.TrimPrefix(edge.at.ScanTLS, "https://")
	start := func(count int, s strict) {
		s.key, s.scans, s.conns, s.goodbyes, s.lost = origin.scannerKey, &l.scans, &l.conns, &l.goodbyes, &l.lost
		s.stale = stale
		s.build(code)
		for range count {
			l.running.Go(func() { s.run(l.stop) })
		}
	}
	start(8, strict{addr: plain, pause: time.Millisecond})
	start(2, strict{addr: plain, pause: 2 * time.Millisecond, apart: true})
	start(2, strict{addr: plain, pause: 5 * time.Millisecond, body: strings.Repeat(code+"\n", 100)})
	start(3, strict{addr: plain, pause: 400 * time.Millisecond}) // idle when others are asked to go
	start(3, strict{addr: secure, tls: trusting(origin.trust()), pause: 3 * time.Millisecond})
	start(1, strict{addr: secure, tls: trusting(origin.trust()), pause: 20 * time.Millisecond, apart: true})
	t.Cleanup(l.end)
	return l
}

func trusting(pool *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
}

// end ends it; a second time it does nothing.
func (l *gates) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.running.Wait()
}

// mustHaveLostNothing also asks that anything was scanned at all.
func (l *gates) mustHaveLostNothing(t *testing.T) {
	t.Helper()
	lost, words := l.lost.all()
	t.Logf("%d scans over %d connections, of which the edge asked to leave %d; lost: %d", l.scans.Load(), l.conns.Load(), l.goodbyes.Load(), lost)
	if lost > 0 || l.scans.Load() == 0 {
		t.Errorf("%d scans were lost:\n%s", lost, words)
	}
}

// build makes the bytes of the request.
func (s *strict) build(code string) {
	if s.body == "" {
		s.request = fmt.Appendf(nil, "GET /v1/scan/%s HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer %s\r\n\r\n", code, s.key)
		return
	}
	s.request = fmt.Appendf(nil, "POST /v1/scan HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", s.key, len(s.body), s.body)
}

func (s *strict) run(stop <-chan struct{}) {
	for ended := false; !ended; {
		ended = s.connect(stop)
	}
}

// connect scans over one connection, until the edge says goodbye on it or something is lost; ended says that stop did.
func (s *strict) connect(stop <-chan struct{}) (ended bool) {
	c, err := s.dial()
	if err != nil {
		s.lost.add("connect to %s: %v", s.addr, err)
		return waits(stop, 10*time.Millisecond)
	}
	defer c.Close()
	s.conns.Add(1)
	for in := bufio.NewReader(c); ; {
		last, err := s.scan(c, in)
		if errors.Is(err, errNoTime) && s.refused != nil {
			s.refused.Add(1)
			if waits(stop, time.Second) { // as Retry-After says
				return true
			}
			continue
		}
		if err != nil {
			s.lost.add("scan at %s: %v", s.addr, err)
		} else {
			s.scans.Add(1)
		}
		if last {
			s.goodbyes.Add(1)
		}
		if waits(stop, s.pause) {
			return true
		}
		if last || err != nil || s.apart {
			return false
		}
	}
}

func (s *strict) dial() (net.Conn, error) {
	c, err := net.DialTimeout("tcp", s.addr, 10*time.Second)
	if err != nil || s.tls == nil {
		return c, err
	}
	secure := tls.Client(c, s.tls)
	if err := secure.Handshake(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return secure, nil
}

// errNoTime is a scan that was refused as it should be.
var errNoTime = errors.New("503 overloaded")

// scan asks once; last says that the edge wants the connection to be left.
func (s *strict) scan(c net.Conn, in *bufio.Reader) (last bool, err error) {
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write(s.request); err != nil {
		return false, err
	}
	return s.answer(in)
}

// answer reads the answer to a scan.
func (s *strict) answer(in *bufio.Reader) (last bool, err error) {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return false, fmt.Errorf("read the answer's body: %w", err)
	case res.StatusCode == http.StatusServiceUnavailable && bytes.Contains(body, []byte(`"overloaded"`)) && res.Header.Get("Retry-After") != "" && !res.Close:
		return false, errNoTime
	case res.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s", res.Status, body)
	case !s.stale && bytes.Contains(body, []byte(`"stale":true`)), bytes.Contains(body, []byte(`"error"`)), s.body != "" && bytes.Count(body, []byte("\n")) != 100:
		return false, fmt.Errorf("the answer is %.200s", body)
	}
	return res.Close, nil
}

// waits waits, and reports whether stop ended it.
func waits(stop <-chan struct{}, d time.Duration) bool {
	select {
	case <-stop:
		return true
	case <-time.After(d):
		return false
	}
}
