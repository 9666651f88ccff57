package edge

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A scanner that sends a batch and reads no answer, or no more of it, or connects and says nothing, loses its connection and with it what is
// held for it.
func TestHangsUpOnWhoDoesNotReadOrAsk(t *testing.T) {
	s := serving(t)
	batch := strings.Repeat("demo-a:g\n", 10_000)
	ask := fmt.Sprintf("POST /v1/scan HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", testKey, len(batch), batch)
	attempt := func(t *testing.T, ask string, reads int64) (took time.Duration) {
		near, far := net.Pipe()
		defer near.Close()
		began, ended := time.Now(), make(chan struct{})
		go func() {
			defer close(ended)
			_ = s.HTTP().ServeConn(byDoor(s, far))
			_ = far.Close()
		}()
		_, _ = io.WriteString(near, ask)
		_, _ = io.CopyN(io.Discard, near, reads)
		select {
		case <-ended:
		case <-time.After(10 * time.Minute):
			t.Error("the connection is still held")
			_ = near.Close()
			<-ended
		}
		return time.Since(began)
	}
	// fasthttp's clock, which never ends, begins with the first answer: outside of the bubbles.
	attempt(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1<<20)
	for name, c := range map[string]struct {
		ask   string
		reads int64
	}{"reads nothing": {ask, 0}, "reads a little": {ask, 1000}, "half a request": {ask[:20], 1 << 20}, "half a body": {ask[:len(ask)/2], 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if took := attempt(t, c.ask, c.reads); took > time.Minute {
					t.Errorf("held for %v", took)
				}
			})
		})
	}
}

// byDoor is a connection as if it had come in by a door of s.
func byDoor(s *Server, c net.Conn) net.Conn {
	return s.door(Bounds{Connections: 1, PerAddress: 1}).admit(c, time.Now())
}
