package load

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
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

	// maxAnswer bounds an answer's size. 20 verdicts take 2 KiB.
	maxAnswer = 1 << 20

	// numberHeader is where vegeta says which hit of the attack a request is. It never reaches an edge.
	numberHeader = "X-Vegeta-Seq"
)

// Transport carries visits for vegeta: of a request that vegeta makes it reads nothing but the number, and sends what the
// visit of that number sends. A path goes out as it stands. Nothing is tried twice, so a failure is always seen. Safe for use
// by many goroutines.
type Transport struct {
	visit func(i uint64) *Visit
	edges []*endpoint
	sent  atomic.Uint64
}

var _ http.RoundTripper = (*Transport)(nil)

// endpoint is one edge's connections and what every request to it has in common.
type endpoint struct {
	name   string
	client fasthttp.HostClient
	blank  fasthttp.Request
}

// NewTransport makes the transport of visits to the edges, which are known by their places in the list. The key goes into
// every request. An edge's URL must be http://HOST:PORT, or the error names it.
func NewTransport(edges []Edge, key string, visit func(i uint64) *Visit) (*Transport, error) {
	t := &Transport{visit: visit}
	for _, e := range edges {
		u, err := url.Parse(e.URL)
		if err != nil || u.Scheme != "http" || u.Port() == "" {
			return nil, fmt.Errorf("edge %s: address %q is not of the form http://HOST:PORT", e.Name, e.URL)
		}
		p := &endpoint{name: e.Name, client: fasthttp.HostClient{
			Addr:                      u.Host,
			DialTimeout:               dial,
			MaxConns:                  maxWorkers,
			MaxIdleConnDuration:       idleFor,
			MaxIdemponentCallAttempts: 1,
			MaxResponseBodySize:       maxAnswer,
			ConnPoolStrategy:          fasthttp.LIFO,
			NoDefaultUserAgentHeader:  true,
			DisablePathNormalizing:    true,
		}}
		p.blank.Header.SetHost(u.Host)
		p.blank.Header.Set("Authorization", "Bearer "+key)
		t.edges = append(t.edges, p)
	}
	return t, nil
}

// dial replaces fasthttp's own dialer, which caches addresses in a goroutine that never ends.
func dial(addr string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, timeout)
}

// RoundTrip sends the visit that r's number stands for. The error is that of a visit which got no HTTP answer.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	i, err := strconv.ParseUint(r.Header.Get(numberHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("a request without a visit's number in %s: %w", numberHeader, err)
	}
	t.sent.Add(1)
	v := t.visit(i)
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)

	edge := t.edges[v.Edge]
	edge.blank.CopyTo(req)
	req.Header.SetRequestURIBytes(v.Path)
	switch v.Key {
	case "":
	case "-":
		req.Header.Del("Authorization")
	default:
		req.Header.Set("Authorization", "Bearer "+v.Key)
	}
	if len(v.Body) > 0 {
		req.Header.SetMethod(http.MethodPost)
		req.Header.SetContentType("text/plain; charset=utf-8")
		req.SetBody(v.Body)
	}
	resp.Header.SetNoDefaultContentType(true)
	if err := edge.client.DoTimeout(req, resp, AnswerWithin); err != nil {
		return nil, fmt.Errorf("%s: %w", edge.name, err)
	}
	return response(r, resp), nil
}

// response copies what a judge needs out of resp, which is about to be used again.
func response(r *http.Request, resp *fasthttp.Response) *http.Response {
	header := http.Header{}
	for _, f := range [...]string{"Content-Type", "Cache-Control"} {
		if v := resp.Header.Peek(f); len(v) > 0 {
			header[f] = []string{string(v)}
		}
	}
	return &http.Response{
		StatusCode:    resp.StatusCode(),
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(bytes.Clone(resp.Body()))),
		ContentLength: int64(len(resp.Body())),
		Request:       r,
	}
}

// Sent returns how many visits it was asked to carry so far.
func (t *Transport) Sent() uint64 { return t.sent.Load() }

// Close closes the connections that no request uses.
func (t *Transport) Close() {
	for _, e := range t.edges {
		e.client.CloseIdleConnections()
	}
}
