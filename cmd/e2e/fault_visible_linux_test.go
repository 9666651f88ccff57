package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/issuer"
)

// How long a push takes until ten edges of one machine show it, under as many scans as -load says, beside the least that it could take:
// a ride of the same bytes, in turn with it, over bare HTTP and as many TLS streams. It is printed. Nobody polls: edges and origin say
// when they were done, by the one clock of the machine.
func TestFaultPropagationToTenEdges(t *testing.T) {
	o := startOrigin(t, releaseBin, "--issuers", "gz")
	all := startEdges(t, 10, releaseBin, o)
	awaitOffset(t, all, "gz", o.mustPush(t, "gz", "", rows("s", 0, 100_000, 1)).Offset)
	rate := *load
	if rate < 0 {
		rate = carried(t, all, o) / 2
	}
	echo, way := newEcho(t, len(all)), newWay(o, all)
	scans, stop := scanSteadily(t, all, o, rate)
	var floor, own, visible, written, acked []time.Duration
	for n := 1; n <= *pushes; n++ {
		body := rows("followed", 0, 1, n)
		floor = append(floor, echo.ride(t, body))
		p := way.push(t, body)
		own = append(own, p.append)
		visible = append(visible, p.shown.Sub(p.sent)-p.append)
		written = append(written, p.shown.Sub(p.sent))
		acked = append(acked, max(0, p.shown.Sub(p.acked)))
	}
	t.Logf("%d of %d scans/s", stop(), rate)
	t.Logf("floor, sent to the last of ten readers: %s", quantiles(floor))
	t.Logf("push to visible on the last of ten edges, less own append: %s", quantiles(visible))
	t.Logf("  with it: %s", quantiles(written))
	t.Logf("  from the acknowledgement on: %s", quantiles(acked))
	t.Logf("its own append, fsync included: %s", quantiles(own))
	if rate > 0 && scans.Load() == 0 {
		t.Error("no scan was answered")
	}
	mustAllBe(t, all, o, "gz", "followed", 0, 1, *pushes)
}

// carried is how many scans a second the machine carries, with the client that puts it under load later: the better of two tries.
func carried(t *testing.T, all []*node, o *node) (most int) {
	t.Helper()
	for range 2 {
		_, stop := scanSteadily(t, all, o, math.MaxInt32)
		time.Sleep(3 * time.Second)
		most = max(most, stop())
	}
	t.Logf("the machine carries %d scans/s", most)
	return most
}

// way is that of pushes to edges, by what origin and edges count: with one push at a time, what a sum has grown by is that push's.
type way struct {
	o        *node
	all      []*node
	appended float64 // seconds
	shown    []float64
	count    []float64
}

func newWay(o *node, all []*node) *way {
	w := &way{o: o, all: all, appended: o.metric("scanedge_append_seconds_sum", "gz")}
	for _, e := range all {
		w.shown = append(w.shown, e.metric("scanedge_visible_after_seconds_sum", "gz"))
		w.count = append(w.count, e.metric("scanedge_visible_after_seconds_count", "gz"))
	}
	return w
}

// pushed is one push: when it was sent and acknowledged, and when the last edge showed it, by the wall clock; and how long the origin
// took to sign it, bring it to the disk and apply it.
type pushed struct {
	sent, acked, shown time.Time
	append             time.Duration
}

func (w *way) push(t *testing.T, body []byte) (p pushed) {
	t.Helper()
	p.sent = time.Now()
	r, err := w.o.push(t.Context(), "gz", "", body)
	p.acked = time.Now()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // to ask them earlier would be in the way
	wrote := writtenAt(t, w.o, r.Offset)
	for i, e := range w.all {
		eventually(t, e.name+" showing the push", func() bool {
			return e.metric("scanedge_visible_after_seconds_count", "gz") > w.count[i]
		})
		w.count[i]++
		sum := e.metric("scanedge_visible_after_seconds_sum", "gz")
		if at := wrote.Add(seconds(sum - w.shown[i])); at.After(p.shown) {
			p.shown = at
		}
		w.shown[i] = sum
	}
	sum := w.o.metric("scanedge_append_seconds_sum", "gz")
	p.append, w.appended = seconds(sum-w.appended), sum
	return p
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// writtenAt is when the origin began to write the batch at an offset, as its record says and edges count from.
func writtenAt(t *testing.T, o *node, offset uint64) time.Time {
	t.Helper()
	a, err := call(t.Context(), http.MethodGet, fmt.Sprintf("%s/v1/issuers/gz/records?after=%d&limit=1", o.at.API, offset-1), o.pushToken, nil)
	if err != nil || a.status != http.StatusOK || len(a.body) < 4 {
		t.Fatalf("the record at %d: %v, %v", offset, a, err)
	}
	head, _, _, err := issuer.Open(a.body[4:])
	if err != nil || head.Offset != offset {
		t.Fatalf("the record at %d: %+v, %v", offset, head, err)
	}
	return head.Time
}

// echo gives what is posted to it to all who hold a stream of it open over TLS. It and its readers are in this process, so what is
// measured of it has fewer switches between processes in it than edges need.
type echo struct {
	post  string
	heard chan time.Time
	lines []chan []byte // to the streams
}

func newEcho(t *testing.T, readers int) *echo {
	t.Helper()
	e := &echo{heard: make(chan time.Time, readers)}
	open := make(chan chan []byte)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		for _, line := range e.lines {
			line <- body
		}
	})
	mux.HandleFunc("GET /", func(rw http.ResponseWriter, req *http.Request) {
		conn, line := http.NewResponseController(rw), make(chan []byte, 1)
		_ = conn.Flush()
		open <- line
		for {
			select {
			case b := <-line:
				_, _ = rw.Write(b)
				_ = conn.Flush()
			case <-req.Context().Done():
				return
			}
		}
	})
	plain, secret := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	e.post = plain.URL
	ctx, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { end(); wg.Wait(); plain.Close(); secret.Close() })
	for range readers {
		wg.Go(func() { e.read(ctx, t, secret) })
		e.lines = append(e.lines, <-open)
	}
	return e
}

// read holds a stream open, over a connection of its own, and says when a line came.
func (e *echo) read(ctx context.Context, t *testing.T, s *httptest.Server) {
	transport := s.Client().Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Error(err)
		return
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	for b := make([]byte, 4<<10); ; {
		n, err := res.Body.Read(b)
		if n > 0 && bytes.HasSuffix(b[:n], []byte("\n")) {
			e.heard <- time.Now()
		}
		if err != nil {
			return
		}
	}
}

// ride sends a body, and returns how long it took until all readers had it.
func (e *echo) ride(t *testing.T, body []byte) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := call(t.Context(), http.MethodPost, e.post, "", body); err != nil {
		t.Fatal(err)
	}
	var last time.Time
	for range e.lines {
		if at := <-e.heard; at.After(last) {
			last = at
		}
	}
	return last.Sub(began)
}

// scanSteadily scans so many codes a second, spread over the edges, until the returned function is called, which returns the
// rate that was kept.
func scanSteadily(t *testing.T, all []*node, o *node, rate int) (*atomic.Int64, func() int) {
	t.Helper()
	var scans atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	began := time.Now()
	const workers = 16
	for i := range min(workers, rate) {
		edge := all[i%len(all)].scanner(o)
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				due := began.Add(time.Duration(n) * time.Second * workers / time.Duration(rate))
				pause(ctx, time.Until(due))
				if _, err := edge.Scan(ctx, fmt.Sprintf("gz:s-%d", n%100_000)); err == nil {
					scans.Add(1)
				}
			}
		})
	}
	return &scans, func() int {
		cancel()
		wg.Wait()
		return int(float64(scans.Load()) / time.Since(began).Seconds())
	}
}
