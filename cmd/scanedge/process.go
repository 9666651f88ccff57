package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime/debug"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
)

// drainWithin is how long a process that was told to stop waits for requests under way.
const drainWithin = 10 * time.Second

// collectEarly has garbage collected when it is a quarter of what is in use, unless GOGC says otherwise. Tables lie outside the heap:
// what it holds are pushes and batches on their way, up to 20 MB each, and of a log in this process the blocks of 8 MB that were
// used in the last ten seconds. They hold no pointers, so to collect early is cheap.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// newLogger logs to stderr: text for people on a terminal, JSON for machines otherwise.
func newLogger() *slog.Logger {
	if terminalOf(os.Stderr) != nil {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

// listen opens a listener; purpose and flag are for the error.
func listen(addr, purpose, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w; give another %s HOST:PORT", purpose, err, flag)
	}
	return l, nil
}

// web is an HTTP server on a listener, from now until stop.
type web struct {
	server *http.Server
	url    string
}

func serve(l net.Listener, h http.Handler, logger *slog.Logger) *web {
	w := newWeb("http", l, h, logger)
	w.run(w.server.Serve, l, logger)
	return w
}

// serveTLS is serve over TLS; secure says how.
func serveTLS(l net.Listener, h http.Handler, secure func(*http.Server), logger *slog.Logger) *web {
	w := newWeb("https", l, h, logger)
	secure(w.server)
	w.run(func(l net.Listener) error { return w.server.ServeTLS(l, "", "") }, l, logger)
	return w
}

func newWeb(scheme string, l net.Listener, h http.Handler, logger *slog.Logger) *web {
	return &web{
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		},
		url: scheme + "://" + l.Addr().String(),
	}
}

func (w *web) run(serve func(net.Listener) error, l net.Listener, logger *slog.Logger) {
	go func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("server ended", "url", w.url, "err", err)
		}
	}()
}

// stop takes no more requests and waits for those under way.
func (w *web) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close()
	}
}

func notFound(rw http.ResponseWriter, req *http.Request) {
	scanedge.NewProblem(scanedge.NotFound, req.URL.Path).Write(rw)
}

// adminHandler serves what operators look at; rest answers all other paths. Unready says why the process is not ready, or "".
func adminHandler(set *metrics.Set, unready func() string, rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "ok") })
	mux.HandleFunc("/readyz", func(rw http.ResponseWriter, _ *http.Request) {
		if why := unready(); why != "" {
			scanedge.NewProblem(scanedge.NotReady, why).Write(rw)
			return
		}
		fmt.Fprintln(rw, "ready")
	})
	mux.HandleFunc("/metrics", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		set.WritePrometheus(rw)
		metrics.WriteProcessMetrics(rw)
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/", rest)
	return mux
}
