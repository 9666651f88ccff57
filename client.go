package scanedge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Caps on what a client reads of an answer: a fleet's answers are far below, and whatever sits in between can't fill memory.
const (
	maxAnswer      = 1 << 20
	maxBatchAnswer = 64 << 20
)

// transport is shared by every client of the process, so that throwing away an Edge or an Origin leaves no connections
// behind. A gate that scans from many goroutines keeps as many connections open.
var transport = newTransport(time.Minute)

// newTransport gives up on a server from which nothing comes and to which nothing goes for as long as silence: a network that
// is gone says nothing, and TCP takes a quarter of an hour to believe it.
func newTransport(silence time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &impatientConn{c, silence}, nil
		},
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: silence, // counts once the body is sent: a push of a million deltas waits for the log's disk
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
	}
}

// impatientConn fails a write that the other side does not take within silence.
type impatientConn struct {
	net.Conn
	silence time.Duration
}

func (c *impatientConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// server is one HTTP server of the fleet and the bearer token to ask it with.
type server struct {
	base   string
	bearer string
	http   *http.Client
}

// newServer follows no redirects: no server of a fleet sends any, and a token should not travel where a proxy points.
func newServer(baseURL, bearer string, timeout time.Duration) server {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return server{
		base:   strings.TrimRight(baseURL, "/"),
		bearer: bearer,
		http:   &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: stay},
	}
}

// call is one request: what is being done, in words for its errors, and how.
type call struct {
	what        string
	method      string
	path        string // percent-encoded
	contentType string // of body
	accept      string
	header      http.Header // besides these; nil for none
	body        io.Reader
	again       bool // may be sent twice, when a kept connection turns out to be dead
	retry       Retry
	made        bool // 201 and 204 are answers too
	cap         int64
}

// reply is an answer that was hoped for.
type reply struct {
	header http.Header
	body   []byte
}

// do returns the body of a 200. Every error says what was being done and where.
func (s *server) do(ctx context.Context, c call) ([]byte, error) {
	r, err := s.ask(ctx, c)
	return r.body, err
}

// ask is do with the headers of the answer.
func (s *server) ask(ctx context.Context, c call) (r reply, err error) {
	req, err := s.request(ctx, c)
	if err != nil {
		return reply{}, s.failed(c, err)
	}
	err = c.retry.keepOn(ctx, func() error {
		if r, err = s.exchange(fresh(req), c); err != nil {
			return s.failed(c, err)
		}
		return nil
	})
	return r, err
}

func (s *server) failed(c call, err error) error {
	return fmt.Errorf("%s at %s: %w", c.what, s.base, err)
}

// fresh is the request with a body that nobody has read of. A transport may go on reading that of a request that failed.
func fresh(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	if req.GetBody != nil {
		req.Body, _ = req.GetBody() // net/http's own, for readers of memory: they can't fail
	}
	return req
}

func (s *server) exchange(req *http.Request, c call) (reply, error) {
	resp, err := s.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // it would repeat the address, and name the code
		}
		return reply{}, lost(req.Context(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.cap+1))
	if err != nil {
		return reply{}, lost(req.Context(), fmt.Errorf("reading the answer: %w", err))
	}
	if int64(len(body)) > c.cap {
		return reply{}, fmt.Errorf("%s with more than %d bytes", resp.Status, c.cap)
	}
	if resp.StatusCode != http.StatusOK && !(c.made && resp.StatusCode/100 == 2) {
		return reply{}, unavailable(resp, refusal(resp, body))
	}
	return reply{resp.Header, body}, nil
}

func (s *server) request(ctx context.Context, c call) (*http.Request, error) {
	if !strings.HasPrefix(s.base, "http://") && !strings.HasPrefix(s.base, "https://") {
		return nil, errors.New("the address must look like http://HOST:PORT")
	}
	req, err := http.NewRequestWithContext(ctx, c.method, s.base+c.path, c.body)
	if err != nil {
		return nil, err
	}
	if s.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	if c.contentType != "" {
		req.Header.Set("Content-Type", c.contentType)
	}
	maps.Copy(req.Header, c.header)
	req.Header.Set("Accept", c.accept)
	if c.retry.For > 0 && req.GetBody == nil && c.body != nil {
		return nil, fmt.Errorf("a body that may be sent again must be a *bytes.Reader, *bytes.Buffer or *strings.Reader, not %T", c.body)
	}
	if c.again {
		req.Header["X-Idempotency-Key"] = nil // net/http's way to say so; nothing of it is sent
	}
	return req, nil
}

// refusal is the error in an answer other than 200: the server's Problem, or what somebody in between said.
func refusal(resp *http.Response, body []byte) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "application/problem+json" {
		var p Problem
		if err := json.Unmarshal(body, &p); err == nil && p.Type != "" {
			if p.Status == 0 {
				p.Status = resp.StatusCode
			}
			return &p
		}
	}
	return stranger(resp.Status, body)
}

// stranger is the error for an answer that no scanedge server gives: a proxy's page, or another service at the address.
func stranger(status string, body []byte) error {
	const shown = 120
	more := ""
	if len(body) > shown {
		body, more = body[:shown], "…"
	}
	return fmt.Errorf("%s, but no answer of scanedge: %q%s", status, body, more)
}

// escape percent-encodes every byte but letters, digits, - _ ~ and the colon. The dot is encoded too: so no "..", "//" or
// "/" of a name stands bare in a path, for a client or a proxy to clean away.
func escape(name string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(name))
	for i := range len(name) {
		if c := name[i]; bare(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func bare(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_~:", c) >= 0
}
