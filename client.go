package scanedge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
var transport = &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	TLSHandshakeTimeout:   5 * time.Second,
	ResponseHeaderTimeout: time.Minute, // counts once the body is sent: a push of a million deltas waits for the log's disk
	MaxIdleConnsPerHost:   256,
	IdleConnTimeout:       90 * time.Second,
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
	body        io.Reader
	again       bool // may be sent twice, when a kept connection turns out to be dead
	cap         int64
}

// do returns the body of a 200. Every error says what was being done and where.
func (s *server) do(ctx context.Context, c call) ([]byte, error) {
	body, err := s.exchange(ctx, c)
	if err != nil {
		return nil, s.failed(c, err)
	}
	return body, nil
}

func (s *server) failed(c call, err error) error {
	return fmt.Errorf("%s at %s: %w", c.what, s.base, err)
}

func (s *server) exchange(ctx context.Context, c call) ([]byte, error) {
	req, err := s.request(ctx, c)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // it would repeat the address, and name the code
		}
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.cap+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(body)) > c.cap {
		return nil, fmt.Errorf("%s with more than %d bytes", resp.Status, c.cap)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, body)
	}
	return body, nil
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
	req.Header.Set("Accept", c.accept)
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
