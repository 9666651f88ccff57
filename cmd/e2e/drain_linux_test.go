package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGTERM to an edge: it is not ready, takes no new connection, answers once more on each that it has, though it was idle, and says that
// this was the last; then it exits 0. Answers are not stale meanwhile: the log is followed on.
func TestFaultEdgeDrains(t *testing.T) {
	o := startOrigin(t, bin, "--issuers", "gz")
	_, stop := startTicker(t, o, "gz", 20*time.Millisecond)
	defer stop()
	e := startEdges(t, 1, bin, o, "--drain", "1m")[0]
	gate := strict{addr: strings.TrimPrefix(e.at.Scan, "http://"), key: o.scannerKey}
	gate.build("gz:" + tickerSubject)
	over := strict{addr: strings.TrimPrefix(e.at.ScanTLS, "https://"), key: o.scannerKey, tls: trusting(o.trust()), request: gate.request}
	bad := strict{addr: gate.addr, request: []byte("nonsense\r\n\r\n")}
	type kept struct {
		*strict
		net.Conn
		in *bufio.Reader
	}
	var conns []kept
	for i, s := range []*strict{&gate, &gate, &over, &over, &bad} {
		c, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, kept{s, c, bufio.NewReader(c)})
		if used := i%2 == 0 && s != &bad; used {
			if last, err := s.scan(c, conns[i].in); last || err != nil {
				t.Fatalf("before: %v, %v", last, err)
			}
		}
	}
	e.signal(syscall.SIGTERM)
	eventually(t, "not ready", func() bool { return !e.ready() })
	eventually(t, "closed", func() bool {
		c, err := net.Dial("tcp", gate.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	time.Sleep(3500 * time.Millisecond) // past the lease
	if e.gone() {
		t.Fatal("it did not wait for those that it has")
	}
	for i, c := range conns {
		last, err := c.scan(c.Conn, c.in)
		if c.strict == &bad {
			if err == nil || !strings.HasPrefix(err.Error(), "400 ") {
				t.Errorf("nonsense: %v", err)
			}
			continue
		}
		if !last || err != nil {
			t.Errorf("connection %d: was it said to be the last: %v; %v", i, last, err)
		}
		if _, err := c.in.ReadByte(); err == nil {
			t.Errorf("connection %d is still open", i)
		}
	}
	eventually(t, "ended", e.gone)
	if code := e.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %v", e.cmd.ProcessState)
	}
}

// A client that pipelines gets, while an edge drains, the answers up to one that says close, and then the end of the connection in good order: it
// knows which scans to send again.
func TestFaultEdgeDrainsWhoPipelines(t *testing.T) {
	o := startOrigin(t, bin, "--issuers", "gz")
	_, stop := startTicker(t, o, "gz", 20*time.Millisecond)
	defer stop()
	e := startEdges(t, 1, bin, o, "--drain", "1m")[0]
	gate := strict{addr: strings.TrimPrefix(e.at.Scan, "http://"), key: o.scannerKey}
	gate.build("gz:" + tickerSubject)
	var conns []net.Conn
	for range 8 {
		c, err := gate.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	e.signal(syscall.SIGTERM)
	eventually(t, "not ready", func() bool { return !e.ready() })
	many := gate
	many.request = bytes.Repeat(gate.request, 500) // more than the edge reads at once
	for i, c := range conns {
		go func() { _, _ = c.Write(many.request) }()
		time.Sleep(50 * time.Millisecond) // so that its answers have to wait here for us
		in := bufio.NewReader(c)
		last, err := many.answer(in)
		for err == nil && !last {
			last, err = many.answer(in)
		}
		if err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("connection %d: after the last answer: %v", i, err)
		}
		c.Close()
	}
	eventually(t, "ended", e.gone)
}

// What a supervisor is told, as systemd would be: who the main process is, before the one before ends.
func TestFaultTakeOverIsToldToTheSupervisor(t *testing.T) {
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: t.TempDir() + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	t.Setenv("NOTIFY_SOCKET", heard.LocalAddr().String())
	told := func(want string) {
		t.Helper()
		b := make([]byte, 1000)
		_ = heard.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := heard.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("the supervisor was told %q, want %q; %v", b[:n], want, err)
		}
	}
	w := startTakenOverBare(t)
	told(fmt.Sprintf("READY=1\nMAINPID=%d", w.edge.cmd.Process.Pid))
	old, ended := w.edge.successor()
	told(fmt.Sprintf("READY=1\nMAINPID=%d", w.edge.cmd.Process.Pid))
	endedWell(t, old, ended)
	w.edge.signal(syscall.SIGTERM)
	told("STOPPING=1")
	<-w.edge.ended
	res, err := http.Get(w.edge.at.Admin + "/readyz")
	if err == nil {
		res.Body.Close()
		t.Error("somebody answers yet")
	}
}
