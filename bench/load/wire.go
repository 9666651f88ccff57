package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// AnswerWithin is how long an edge has for an answer before the visit has failed.
	AnswerWithin = 5 * time.Second

	// An idle connection is closed from here well before an edge would do it: a request on a connection that the other side
	// has just closed fails, and nothing is tried twice.
	idleFor = 2 * time.Second

	// maxAnswer bounds an answer's size. 100 verdicts take 10 KiB.
	maxAnswer = 1 << 20
)

// endpoint is one edge: where it is, and its lanes.
type endpoint struct {
	Edge
	host    string
	tlsHost string
	tls     *tls.Config
	dialer  dialer
	key     string
	lanes   [kinds]chan uint64 // of the plan's kinds
}

// newEndpoint takes an edge's addresses apart. They must be http://HOST:PORT and https://HOST:PORT, or the error names it.
func newEndpoint(e Edge, p *Plan) (*endpoint, error) {
	point := &endpoint{Edge: e, key: p.Key, dialer: dialer{sources: p.Sources}}
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return nil, fmt.Errorf("edge %s: address %q is not of the form http://HOST:PORT", e.Name, e.URL)
	}
	point.host = u.Host
	for _, k := range p.Kinds {
		point.lanes[k] = make(chan uint64, queued)
	}
	if e.TLS == "" {
		if slices.Contains(p.Kinds, NewTLS) {
			return nil, fmt.Errorf("edge %s: visits are to come over TLS, and it has no address for that", e.Name)
		}
		return point, nil
	}
	if u, err = url.Parse(e.TLS); err != nil || u.Scheme != "https" || u.Port() == "" {
		return nil, fmt.Errorf("edge %s: address %q is not of the form https://HOST:PORT", e.Name, e.TLS)
	}
	point.tlsHost = u.Host
	point.tls = &tls.Config{RootCAs: p.Roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS13}
	return point, nil
}

// queued is how many visits may wait for a lane: some seconds of a launch day. Then the dispatcher waits.
const queued = 1 << 16

// request appends what visit v sends. The last one of a connection says so.
func (p *endpoint) request(b []byte, v *Visit, last bool) []byte {
	if len(v.Body) > 0 {
		b = append(b, "POST "...)
	} else {
		b = append(b, "GET "...)
	}
	b = append(b, v.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, p.host...)
	if key := v.Key; key != "-" {
		if key == "" {
			key = p.key
		}
		b = append(b, "\r\nAuthorization: Bearer "...)
		b = append(b, key...)
	}
	if last {
		b = append(b, "\r\nConnection: close"...)
	}
	if len(v.Body) > 0 {
		b = append(b, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(v.Body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	return append(b, v.Body...)
}

// wire is one connection to an edge and what is read from it. It is good for one answer after another until it is spent.
type wire struct {
	net.Conn
	in     *bufio.Reader
	answer fasthttp.Response
	spent  atomic.Bool // no request should go over it any more

	since atomic.Int64 // when what is waited for was sent, in ns of the run; 0: nothing is, hungUp: it was waited for too long
}

const hungUp = -1

// dial opens a connection; TLS is spoken by the kind that does.
func (e *engine) dial(p *endpoint, k Kind) (*wire, error) {
	addr := p.host
	if k == NewTLS {
		addr = p.tlsHost
	}
	ctx, cancel := context.WithTimeout(context.Background(), AnswerWithin)
	defer cancel()
	conn, err := p.dialer.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if k == NewTLS {
		secure := tls.Client(conn, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	w := &wire{Conn: conn, in: bufio.NewReader(conn)}
	e.wires.add(w)
	return w, nil
}

// errTimeout is what became of a request that was not answered in time.
var errTimeout = fmt.Errorf("no answer within %v", AnswerWithin)

// read waits for the answer to what was sent at a time of the run, and fills in a. Its bytes are good until the next read.
func (w *wire) read(sent time.Duration, a *Answer) error {
	since := int64(max(1, sent))
	if !w.since.CompareAndSwap(0, since) {
		return errTimeout
	}
	w.answer.Header.SetNoDefaultContentType(true)
	err := w.answer.ReadLimitBody(w.in, maxAnswer)
	a.At = time.Now()
	if !w.since.CompareAndSwap(since, 0) {
		w.spent.Store(true)
		err = errTimeout
	}
	if err != nil {
		return err
	}
	if w.answer.ConnectionClose() {
		w.spent.Store(true)
	}
	a.Code = w.answer.StatusCode()
	a.ContentType = w.answer.Header.ContentType()
	a.CacheControl = w.answer.Header.Peek("Cache-Control")
	a.Body = w.answer.Body()
	return nil
}

// errUnasked is what an edge did that sent more than was asked of it.
var errUnasked = errors.New("the edge sent more than one answer to a request")

// stale tells whether a request should not go over it any more, now, after it was last used.
func (w *wire) stale(now, last time.Duration) bool { return w.spent.Load() || now-last > idleFor }

// wires are all that are open, so that those which hang can be ended: a deadline for each read costs more than a look at all
// of them twice a second.
type wires struct {
	mu   sync.Mutex
	open map[*wire]struct{}
}

func (all *wires) add(w *wire) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.open == nil {
		all.open = map[*wire]struct{}{}
	}
	all.open[w] = struct{}{}
}

// close ends a connection. It may be nil.
func (all *wires) close(w *wire) {
	if w == nil {
		return
	}
	_ = w.Close()
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.open, w)
}

// hangUp ends connections on which an answer is overdue.
func (e *engine) hangUp() {
	all, before := &e.wires, int64(e.now()-AnswerWithin)
	all.mu.Lock()
	defer all.mu.Unlock()
	for w := range all.open {
		if since := w.since.Load(); since > 0 && since < before && w.since.CompareAndSwap(since, hungUp) {
			_ = w.Close()
		}
	}
}

// dialer opens connections from one loopback address after the other.
type dialer struct {
	sources int
	next    atomic.Uint32
}

func (d *dialer) dial(ctx context.Context, addr string) (net.Conn, error) {
	n := net.Dialer{KeepAlive: -1, Control: portLater}
	if d.sources > 0 {
		k := int(d.next.Add(1)) % d.sources
		n.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 1, byte(k/254), byte(1+k%254))}
	}
	return n.DialContext(ctx, "tcp", addr)
}
