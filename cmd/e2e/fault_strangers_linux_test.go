package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// More connections than an edge admits, that say nothing, dribble, or announce what never comes: its memory stays bounded, and good scanners
// lose no scan, neither on the connections that they keep nor on new ones.
func TestFaultStrangers(t *testing.T) {
	const admitted, strangers = 2000, 4000
	const each = 40 << 10 // bytes that a connection may cost
	o := startOrigin(t, releaseBin, "--issuers", "gz")
	edge := startEdges(t, 1, releaseBin, o, "--max-connections", strconv.Itoa(admitted))[0]
	r := o.mustPush(t, "gz", "", []byte("subject,status\ng,green\n"))
	awaitOffset(t, []*node{edge}, "gz", r.Offset)
	addr := strings.TrimPrefix(edge.at.Scan, "http://")
	good, refused := &gates{stop: make(chan struct{})}, new(atomic.Int64)
	for count, s := range map[int]strict{
		4: {addr: addr, pause: 2 * time.Millisecond},
		3: {addr: addr, pause: 400 * time.Millisecond},
		2: {addr: addr, pause: 5 * time.Millisecond, apart: true},
		1: {addr: strings.TrimPrefix(edge.at.ScanTLS, "https://"), tls: trusting(o.trust()), pause: 3 * time.Millisecond},
	} {
		s.key, s.scans, s.conns, s.goodbyes, s.lost, s.refused = o.scannerKey, &good.scans, &good.conns, &good.goodbyes, &good.lost, refused
		s.build("gz:g")
		for range count {
			good.running.Go(func() { s.run(good.stop) })
		}
	}
	t.Cleanup(good.end)
	before := resident(t, edge)

	auth := "Authorization: Bearer " + o.scannerKey + "\r\n"
	for _, kind := range []struct{ name, first, then string }{
		{"idle", "", ""},
		{"refused once", "GET /v1/scan/gz:g HTTP/1.1\r\nHost: e\r\n\r\n", ""},
		{"dribble a header", "GET /v1/scan/gz:g HTTP/1.1\r\nX: ", "x"},
		{"large headers", "GET /v1/scan/gz:g HTTP/1.1\r\nX: " + strings.Repeat("x", 4000), "x"},
		{"announce without a key", "POST /v1/scan HTTP/1.1\r\nHost: e\r\nContent-Length: 1048576\r\n\r\nxyz", "x"},
		{"announce with a key", "POST /v1/scan HTTP/1.1\r\nHost: e\r\n" + auth + "Content-Length: 1048576\r\n\r\nxyz", "x"},
		{"announce chunks", "POST /v1/scan HTTP/1.1\r\nHost: e\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n100000\r\nxyz", "x"},
	} {
		done, scans := good.scans.Load(), good.scans.Load
		crowd := newCrowd(addr, kind.first, kind.then)
		crowd.fill(strangers)
		most, open := 0, 0.0
		for range 10 {
			crowd.nudge()
			most, open = max(most, resident(t, edge)), max(open, connections(t, edge))
			time.Sleep(200 * time.Millisecond)
		}
		crowd.end()
		t.Logf("%s: %d MiB more resident, %.0f connections open at most, %d good scans meanwhile", kind.name, (most-before)>>20, open, scans()-done)
		if most-before > admitted*each {
			t.Errorf("%s: the edge grew from %d to %d MiB", kind.name, before>>20, most>>20)
		}
		if open > admitted {
			t.Errorf("%s: %.0f connections are open", kind.name, open)
		}
		if scans() == done {
			t.Errorf("%s: nobody else could scan", kind.name)
		}
	}
	good.end()
	good.mustHaveLostNothing(t)
	t.Logf("%d scans were refused for want of time", refused.Load())
	if refused.Load() > good.scans.Load()/10 {
		t.Error("more than one of ten scans was refused")
	}
}

// connections is how many the edge says that it has.
func connections(t *testing.T, n *node) float64 {
	t.Helper()
	m, err := fleet.ReadMetrics(t.Context(), n.at.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return m["scanedge_connections"]
}

// crowd is connections that do all the same, and are made again when they are closed.
type crowd struct {
	addr, first, then string
	conns             []net.Conn
}

func newCrowd(addr, first, then string) *crowd { return &crowd{addr: addr, first: first, then: then} }

func (c *crowd) connect() net.Conn {
	conn, err := net.DialTimeout("tcp", c.addr, 10*time.Second)
	if err != nil {
		return nil
	}
	_, _ = io.WriteString(conn, c.first)
	return conn
}

func (c *crowd) fill(n int) {
	c.conns = make([]net.Conn, n)
	c.each(func(i int) { c.conns[i] = c.connect() })
}

// nudge has each send a little more, and those that were closed come again.
func (c *crowd) nudge() {
	c.each(func(i int) {
		conn := c.conns[i]
		if conn != nil {
			_ = conn.SetReadDeadline(time.Now().Add(time.Microsecond))
			_, err := conn.Read(make([]byte, 1024))
			if _, sent := io.WriteString(conn, c.then); sent == nil && (err == nil || os.IsTimeout(err)) {
				return
			}
			_ = conn.Close()
		}
		c.conns[i] = c.connect()
	})
}

// each does something with all, some at once.
func (c *crowd) each(do func(i int)) {
	var all sync.WaitGroup
	const hands = 16
	for hand := range hands {
		all.Go(func() {
			for i := hand; i < len(c.conns); i += hands {
				do(i)
			}
		})
	}
	all.Wait()
}

func (c *crowd) end() {
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// resident is how many bytes of memory a process has.
func resident(t *testing.T, n *node) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
