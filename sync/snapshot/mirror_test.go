package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// mirror serves the bytes of a snapshot's file as a test likes: with answer, or else honestly.
type mirror struct {
	data   []byte
	answer func(rw http.ResponseWriter, req *http.Request, from int)
	url    string

	asked, sent atomic.Int64 // requests, bytes
}

func newMirror(t testing.TB, data []byte, answer func(m *mirror, rw http.ResponseWriter, req *http.Request, from int)) *mirror {
	t.Helper()
	m := &mirror{data: data}
	if answer != nil {
		m.answer = func(rw http.ResponseWriter, req *http.Request, from int) { answer(m, rw, req, from) }
	}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	m.url = s.URL
	return m
}

func (m *mirror) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	m.asked.Add(1)
	var from int
	if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from); err != nil {
		http.Error(rw, "what is it?", http.StatusBadRequest)
		return
	}
	if m.answer != nil {
		m.answer(rw, req, from)
		return
	}
	m.give(rw, from, m.data[from:])
}

// give sends bytes as what the file has from some place on.
func (m *mirror) give(rw http.ResponseWriter, from int, b []byte) {
	m.head(rw, from, len(m.data))
	n, _ := rw.Write(b)
	m.sent.Add(int64(n))
}

func (m *mirror) head(rw http.ResponseWriter, from, size int) {
	rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, size-1, size))
	rw.WriteHeader(http.StatusPartialContent)
}

// cut sends some bytes and then resets the connection.
func (m *mirror) cut(rw http.ResponseWriter, from int, b []byte) {
	m.give(rw, from, b)
	_ = http.NewResponseController(rw).Flush()
	panic(http.ErrAbortHandler)
}

// spoiled is the rest of the file from some place on, with one wrong byte.
func (m *mirror) spoiled(from, wrong int) []byte {
	b := append([]byte(nil), m.data[from:]...)
	b[wrong-from] ^= 0x10
	return b
}

// counter counts the bytes that a client reads.
type counter struct {
	http.RoundTripper
	read atomic.Int64
}

func newCounter(t testing.TB) (*http.Client, *counter) {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &counter{RoundTripper: transport}
	return &http.Client{Transport: c}, c
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.RoundTripper.RoundTrip(req)
	if err == nil {
		res.Body = countedBody{res.Body, c}
	}
	return res, err
}

type countedBody struct {
	io.ReadCloser
	c *counter
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.read.Add(int64(n))
	return n, err
}

// offerOf is an offer that never changes.
func offerOf(f File, sources ...string) func(context.Context) (Offer, error) {
	return func(context.Context) (Offer, error) { return Offer{Manifest: f.Manifest, Sources: sources}, nil }
}

var errNoOffer = errors.New("no offer")
