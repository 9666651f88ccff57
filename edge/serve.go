package edge

import (
	"errors"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
)

var (
	noStore         = []byte("no-store")
	wwwAuthenticate = []byte("WWW-Authenticate")
	bearerScheme    = []byte("Bearer")
	retryAfter      = []byte("Retry-After")
	oneSecond       = []byte("1")
	cacheControl    = []byte("Cache-Control")

	typeText    = []byte("text/plain")
	typeJSON    = []byte("application/json")
	typeNDJSON  = []byte("application/x-ndjson")
	typeProblem = []byte("application/problem+json")
)

// HTTP returns a server whose Serve answers scans on a listener until its Shutdown.
func (s *Server) HTTP() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:               s.answer,
		ErrorHandler:          unreadable,
		NoDefaultServerHeader: true,
		MaxRequestBodySize:    maxBody,
		ReadTimeout:           30 * time.Second,
		WriteTimeout:          30 * time.Second, // an answer is small, and held in memory until it is taken
		IdleTimeout:           2 * time.Minute,
		CloseOnShutdown:       true,
		Logger:                silent{},
	}
}

// answer is Handle for a connection, which it closes in good order when the edge drains.
func (s *Server) answer(ctx *fasthttp.RequestCtx) {
	s.Handle(ctx)
	if s.draining.Load() {
		ctx.SetConnectionClose()
	}
}

// fail answers with a problem.
func fail(ctx *fasthttp.RequestCtx, t scanedge.ProblemType) { failWith(ctx, t, problemBodies[t]) }

// failWith answers with a problem that has a body of its own.
func failWith(ctx *fasthttp.RequestCtx, t scanedge.ProblemType, body []byte) {
	status := t.Status()
	ctx.Response.SetStatusCode(status)
	ctx.Response.Header.SetContentTypeBytes(typeProblem)
	switch status {
	case fasthttp.StatusUnauthorized:
		ctx.Response.Header.SetCanonical(wwwAuthenticate, bearerScheme)
	case fasthttp.StatusServiceUnavailable:
		ctx.Response.Header.SetCanonical(retryAfter, oneSecond)
	}
	ctx.Response.AppendBody(body)
}

// unreadable answers what fasthttp could not read as a request. A connection on which none came in time is closed without an answer:
// who kept it for later, and sends his request at that moment, would take it for his.
func unreadable(ctx *fasthttp.RequestCtx, err error) {
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		_ = ctx.Conn().Close()
		return
	}
	ctx.Response.Header.SetCanonical(cacheControl, noStore)
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		fail(ctx, scanedge.TooLarge)
		return
	}
	fail(ctx, scanedge.BadRequest)
}

// silent drops fasthttp's lines on connections that broke: a scanner that walks away is no event.
type silent struct{}

func (silent) Printf(string, ...any) {}
