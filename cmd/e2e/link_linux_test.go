package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/enrol"
)

// link is a stretch of network: TCP connections to addr go on to target, as late and as badly as the test says.
type link struct {
	addr, target string
	delay        atomic.Int64 // nanoseconds that each way takes

	mu    sync.Mutex
	state linkState
	moved chan struct{} // closed when state changes
	lines map[*line]bool
}

type linkState int

const (
	whole   linkState = iota
	cut               // connections are reset, and so are new ones
	stalled           // connections stay, and new ones are taken, but nothing passes until the link is whole again
	lost              // connections stay for those who made them, but lead nowhere, also when the link is whole again
)

// line is one connection through a link.
type line struct {
	near, far net.Conn
	lost      atomic.Bool
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{addr: listener.Addr().String(), target: target, moved: make(chan struct{}), lines: map[*line]bool{}}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(near)
		}
	}()
	t.Cleanup(func() { listener.Close(); l.set(cut) })
	return l
}

// set makes the link so from now on.
func (l *link) set(s linkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	close(l.moved)
	l.moved = make(chan struct{})
	for ln := range l.lines {
		switch s {
		case cut:
			ln.reset()
		case lost:
			ln.lost.Store(true)
			reset(ln.far)
		}
	}
}

func (ln *line) reset() { reset(ln.near); reset(ln.far) }

// reset ends a connection as a crash does.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func (l *link) carry(near net.Conn) {
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		reset(near)
		return
	}
	ln := &line{near: near, far: far}
	l.mu.Lock()
	l.lines[ln] = true
	switch l.state {
	case cut:
		ln.reset()
	case lost:
		ln.lost.Store(true)
	}
	l.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() { l.pump(ln, far, near) })
	ways.Go(func() { l.pump(ln, near, far) })
	ways.Wait()
	l.mu.Lock()
	delete(l.lines, ln)
	l.mu.Unlock()
}

type parcel struct {
	bytes []byte
	due   time.Time
}

// pump moves bytes one way. What is read while the link stalls is kept; what is read on a lost line is not.
func (l *link) pump(ln *line, to, from net.Conn) {
	parcels := make(chan parcel, 1024)
	go func() {
		defer close(parcels)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				parcels <- parcel{b[:n], time.Now().Add(time.Duration(l.delay.Load()))}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parcels {
		time.Sleep(time.Until(p.due))
		l.awaitPassage()
		if !ln.lost.Load() {
			_, _ = to.Write(p.bytes) // an end that is gone shows by its own reader
		}
	}
	l.awaitPassage()
	switch {
	case !ln.lost.Load():
		to.Close()
	case from == ln.near: // nobody is left to be deceived
		ln.reset()
	}
}

func (l *link) awaitPassage() {
	for {
		l.mu.Lock()
		state, moved := l.state, l.moved
		l.mu.Unlock()
		if state != stalled {
			return
		}
		<-moved
	}
}

// door stands between an origin and its edges: all of their HTTP goes through one link, what they follow of logs through another
// behind it. It knows what of a snapshot was fetched, and can break such a transfer off.
type door struct {
	url      string // edges take it for the origin's
	api, log *link

	breakAfter atomic.Int64 // so many bytes into the next transfers they are reset; 0: never

	mu        sync.Mutex
	transfers []*transfer
}

// transfer is one download of a snapshot, as far as it went.
type transfer struct {
	from  int64 // where the range began that was asked for
	busy  bool  // it was refused
	bytes atomic.Int64
}

func newDoor(t *testing.T, origin *node) *door {
	t.Helper()
	target, err := url.Parse(origin.at.TLS)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{log: newLink(t, target.Host)}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the origin names itself by the address that it was asked at
		},
		Transport:      &impostor{door: d, trust: origin.trust(), known: map[string]*http.Transport{}},
		ModifyResponse: d.pass,
		FlushInterval:  -1,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // no proxy is seen
	}
	inside := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex() // edges go on reporting while they read what was taken
		proxy.ServeHTTP(rw, req)
	}))
	ca, err := enrol.OpenCA(filepath.Dir(origin.at.CA))
	if err != nil {
		t.Fatal(err)
	}
	own, err := ca.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	inside.TLS = own.TLS()
	inside.Config.ErrorLog = log.New(io.Discard, "", 0)
	inside.StartTLS()
	t.Cleanup(inside.Close)
	d.api = newLink(t, strings.TrimPrefix(inside.URL, "https://"))
	d.url = "https://" + d.api.addr
	t.Cleanup(func() { d.api.set(cut) })
	return d
}

// impostor asks the origin as whoever asks the door: with the keys of edges, which lie on this machine.
type impostor struct {
	door  *door
	trust *x509.CertPool

	mu    sync.Mutex
	known map[string]*http.Transport
}

func (i *impostor) RoundTrip(req *http.Request) (*http.Response, error) {
	name := ""
	if len(req.TLS.PeerCertificates) > 0 {
		name = req.TLS.PeerCertificates[0].Subject.CommonName
	}
	as, err := i.as(name, strings.HasSuffix(req.URL.Path, "/log"))
	if err != nil {
		return nil, err
	}
	return as.RoundTrip(req)
}

// as asks as an edge, or as nobody; what it follows of logs it asks through their link.
func (i *impostor) as(name string, log bool) (*http.Transport, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := fmt.Sprint(name, log)
	if i.known[key] != nil {
		return i.known[key], nil
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.trust, ServerName: enrol.OriginName}}
	if name != "" {
		dir, _ := edgeDirs.Load(name)
		id, err := enrol.Load(filepath.Join(dir.(string), "identity"))
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = id.Client()
	}
	if log {
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, i.door.log.addr)
		}
	}
	i.known[key] = t
	return t, nil
}

// pass counts what is fetched of snapshots.
func (d *door) pass(res *http.Response) error {
	if strings.Contains(res.Request.URL.Path, "/snapshots/") {
		first, _, _ := strings.Cut(strings.TrimPrefix(res.Request.Header.Get("Range"), "bytes="), "-")
		tr := &transfer{busy: res.StatusCode >= 300}
		tr.from, _ = strconv.ParseInt(first, 10, 64)
		d.mu.Lock()
		d.transfers = append(d.transfers, tr)
		d.mu.Unlock()
		res.Body = &counted{res.Body, tr, d}
	}
	return nil
}

// counted is the body of a transfer.
type counted struct {
	io.ReadCloser
	transfer *transfer
	door     *door
}

func (c *counted) Read(b []byte) (int, error) {
	if limit := c.door.breakAfter.Load(); limit > 0 && c.transfer.bytes.Load() >= limit {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(b[:min(len(b), 4<<10)])
	c.transfer.bytes.Add(int64(n))
	return n, err
}

// served returns the transfers that were not refused.
func (d *door) served() (all []*transfer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tr := range d.transfers {
		if !tr.busy {
			all = append(all, tr)
		}
	}
	return all
}
