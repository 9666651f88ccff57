package scanedge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener takes connections in memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	l.conns <- there
	return here, nil
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// pipeTo is a client whose every connection leads to handler, in memory.
func pipeTo(handler http.HandlerFunc) (o *Operator, stop func()) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(l) }()
	transport := &http.Transport{DialContext: l.dial}
	o = NewOperator("http://origin", "admin")
	o.server.http.Transport = transport
	return o, func() { transport.CloseIdleConnections(); server.Close() }
}

func download(t *testing.T, o *Operator) (int, error) {
	var b bytes.Buffer
	err := o.Download(t.Context(), "take it", "/v1/x", "text/plain", func(r io.Reader) error {
		_, err := b.ReadFrom(r)
		return err
	})
	return b.Len(), err
}

// A long answer may take as long as it likes, while something comes. One that falls silent or breaks off is an error.
func TestDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			then func(rw http.ResponseWriter, req *http.Request)
			want error
		}{
			"whole":  {func(http.ResponseWriter, *http.Request) {}, nil},
			"silent": {func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, errSilence},
			"broken": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, io.ErrUnexpectedEOF},
		} {
			o, stop := pipeTo(func(rw http.ResponseWriter, req *http.Request) {
				for range 20 {
					_, _ = rw.Write(make([]byte, 1000))
					_ = http.NewResponseController(rw).Flush()
					time.Sleep(downloadSilence * 3 / 4)
				}
				c.then(rw, req)
			})
			if n, err := download(t, o); n != 20_000 || !errors.Is(err, c.want) {
				t.Errorf("%s: %d bytes, %v", name, n, err)
			}
			stop()
		}
		o, stop := pipeTo(func(rw http.ResponseWriter, _ *http.Request) { NewProblem(NoToken, "send one").Write(rw) })
		defer stop()
		var p *Problem
		if _, err := download(t, o); !errors.As(err, &p) || p.Type != NoToken {
			t.Errorf("%v", err)
		}
	})
}
