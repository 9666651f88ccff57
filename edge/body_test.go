package edge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// Bodies take memory as they come, at most twice what came, and give it back.
func TestBodiesTakeWhatComes(t *testing.T) {
	for _, size := range []int{0, 1, firstBody - 1, firstBody, firstBody + 1, 100_000, maxBody - 1, maxBody, maxBody + 1, maxBody + firstBody, 3 * maxBody} {
		var b bodies
		sent := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		came := 0
		body, err := b.read(io.TeeReader(iotest.HalfReader(bytes.NewReader(sent)), tally(func(n int) {
			came += n
			if held := b.held.Load(); held > int64(max(firstBody, 2*came, maxBody+firstBody)) || held > 2*int64(came)+firstBody {
				t.Fatalf("%d bytes came and %d are held", came, held)
			}
		})), func(int) error { return nil })
		if size > maxBody {
			if !errors.Is(err, errLong) || came > maxBody+firstBody {
				t.Errorf("%d bytes: %v, after %d", size, err, came)
			}
		} else if err != nil || !bytes.Equal(body, sent) {
			t.Errorf("%d bytes: %v, %d came out", size, err, len(body))
		}
		if held := b.held.Load(); held != int64(cap(body)) {
			t.Errorf("%d bytes: %d are held in %d", size, held, cap(body))
		}
	}
}

type tally func(n int)

func (f tally) Write(p []byte) (int, error) { f(len(p)); return len(p), nil }

// All bodies together are bounded, a refused one holds nothing, and what is given back can be taken again.
func TestBodiesTogetherAreBounded(t *testing.T) {
	var b bodies
	var all []body
	for {
		read, err := b.read(bytes.NewReader(make([]byte, maxBody-1)), func(int) error { return nil })
		if err != nil {
			body{read, &b}.release()
			if !errors.Is(err, errBodies) {
				t.Fatal(err)
			}
			break
		}
		all = append(all, body{read, &b})
	}
	if len(all) < 32 || len(all) > 64 || b.held.Load() > allBodies {
		t.Errorf("%d bodies of %d bytes, %d bytes in all", len(all), maxBody-1, b.held.Load())
	}
	for _, lent := range all {
		lent.release()
	}
	if held := b.held.Load(); held != 0 {
		t.Errorf("%d bytes are held for nobody", held)
	}
}

// Bodies as they come over a connection: whole, in chunks, too large, cut short, with what the answer must be and whether the connection
// is good for another request.
func TestBodyOverHTTP(t *testing.T) {
	const lines = "demo-a:g\ndemo-a:r\n"
	chunked := func(parts ...string) (out string) {
		for _, p := range parts {
			out += fmt.Sprintf("%x\r\n%s\r\n", len(p), p)
		}
		return "Transfer-Encoding: chunked\r\n\r\n" + out
	}
	whole := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	big := strings.Repeat("demo-a:g\n", 9_000)
	for name, c := range map[string]struct {
		rest   string
		status int
		lines  int
		goesOn bool
	}{
		"whole":             {whole(lines), 200, 2, true},
		"empty":             {whole(""), 200, 0, true},
		"none announced":    {"\r\n", 200, 0, true},
		"chunks":            {chunked(lines[:5], lines[5:], ""), 200, 2, true},
		"larger":            {whole(big), 200, 9_000, true},
		"larger, in chunks": {chunked(big[:30_000], big[30_000:], ""), 200, 9_000, true},
		"announced":         {fmt.Sprintf("Content-Length: %d\r\n\r\n", maxBody+1), 413, 0, false},
		"4 GB announced":    {"Content-Length: 4294967296\r\n\r\n", 413, 0, false},
		"asked for":         {"Expect: 100-continue\r\n" + whole(lines), 100, 0, true},
		"not asked for":     {fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", maxBody+1), 413, 0, false},
		"too many chunks":   {chunked(strings.Repeat("x", maxBody), "y", ""), 413, 0, false},
		"no chunk":          {"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, serving(t))
			go io.WriteString(conn, "POST /v1/scan HTTP/1.1\r\nHost: e\r\n"+auth+"\r\n"+c.rest)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			body := string(sent)
			if res.StatusCode != c.status || c.status == 200 && strings.Count(body, "\n") != c.lines {
				t.Fatalf("%s with %.200s", res.Status, body)
			}
			if res.Close == c.goesOn {
				t.Errorf("the connection is closed: %v", res.Close)
			}
			if c.goesOn {
				if res, body := ask(t, conn, "GET /v1/scan/demo-a:r", "", auth); res.StatusCode != http.StatusOK || !strings.Contains(body, "red") {
					t.Errorf("the next request gets %s with %s", res.Status, body)
				}
			}
		})
	}
}

// Who was not admitted is answered when his body begins, and nothing is held for it.
func TestNothingIsReadForStrangers(t *testing.T) {
	s := serving(t)
	conn := dial(t, s)
	go io.WriteString(conn, "POST /v1/scan HTTP/1.1\r\nHost: e\r\nContent-Length: 1000000\r\n\r\nx")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusUnauthorized || !res.Close {
		t.Errorf("%s with %s", res.Status, body)
	}
	if held := s.bodies.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

// A body that comes too slowly ends its connection, however the bytes are spread; one that comes just fast enough is read.
func TestSlowBodies(t *testing.T) {
	s := serving(t)
	send := func(t *testing.T, size, rate int) (took time.Duration, answered bool) {
		near, far := net.Pipe()
		defer near.Close()
		began, ended := time.Now(), make(chan struct{})
		go func() {
			defer close(ended)
			_ = s.HTTP().ServeConn(byDoor(s, far))
			_ = far.Close()
		}()
		answer := make(chan bool, 1)
		go func() {
			b, _ := io.ReadAll(near)
			answer <- len(b) > 0
		}()
		_, _ = fmt.Fprintf(near, "POST /v1/scan HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\nContent-Length: %d\r\n\r\n", auth, size)
		for sent := 0; sent < size; sent += rate {
			time.Sleep(time.Second)
			if _, err := near.Write(bytes.Repeat([]byte{'\n'}, min(rate, size-sent))); err != nil {
				break
			}
		}
		<-ended
		took = time.Since(began)
		_ = near.Close()
		return took, <-answer
	}
	dialAndAsk(t, s)
	for name, c := range map[string]struct {
		size, rate int
		read       bool
		within     time.Duration
	}{
		"a byte a second":    {1000, 1, false, readWithin + 2*sweepEvery + time.Second},
		"1 KiB a second":     {maxBody, 1 << 10, false, 2 * readWithin},
		"8 KiB a second":     {maxBody, 8 << 10, false, 40 * time.Second},
		"fast enough":        {maxBody, slowBody, true, 70 * time.Second},
		"slow, but soon all": {firstBody / 2, firstBody / 16, true, readWithin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if took, answered := send(t, c.size, c.rate); answered != c.read || took > c.within {
					t.Errorf("answered: %v, after %v", answered, took)
				}
			})
		})
	}
	if held := s.bodies.held.Load(); held != 0 {
		t.Errorf("%d bytes are held for nobody", held)
	}
}

// dialAndAsk asks once, so that fasthttp's clock, which never ends, begins outside of the bubbles.
func dialAndAsk(t *testing.T, s *Server) {
	t.Helper()
	if res, _ := ask(t, dial(t, s), "GET /", ""); res.StatusCode != http.StatusNotFound {
		t.Fatal(res.Status)
	}
}
