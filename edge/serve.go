package edge

import (
	"errors"
	"math"
	"net"

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

// HTTP returns a server whose Serve answers scans on a listener until its Shutdown. Its connections should come in by a [Door]: it sets them no
// deadlines.
//
// A request's header must fit into 4 KiB; its body is left where it is until somebody wants it ([Server.readBody]): but for one byte, which
// fasthttp wants to have seen, so nothing is held for what a stranger announces.
func (s *Server) HTTP() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      s.answer,
		ErrorHandler:                 unreadable,
		NoDefaultServerHeader:        true,
		HeaderReceived:               markTooLarge,
		ExpectHandler:                expect,
		StreamRequestBody:            true,
		MaxRequestBodySize:           1,
		LazyRequestTime:              true, // Handle reads the clock by itself
		DisablePreParseMultipartForm: true, // which would read a body before anybody was asked who sent it
		ReadBufferSize:               4 << 10,
		Concurrency:                  math.MaxInt32, // the door bounds them
		CloseOnShutdown:              true,
		Logger:                       silent{},
	}
}

// markTooLarge makes fasthttp ask expect of a request whose body will not be read, rather than wait for its first byte.
func markTooLarge(h *fasthttp.RequestHeader) (none fasthttp.RequestConfig) {
	if h.ContentLength() > maxBody {
		h.Set("Expect", "100-continue")
	}
	return none
}

// expect says whether a body that waits to be asked for should come.
func expect(ctx *fasthttp.RequestCtx) (status int) {
	if ctx.Request.Header.ContentLength() <= maxBody {
		return fasthttp.StatusContinue
	}
	ctx.Response.Header.SetCanonical(cacheControl, noStore)
	fail(ctx, scanedge.TooLarge)
	return scanedge.TooLarge.Status()
}

// answer is Handle for a connection, which it closes in good order when the edge drains.
func (s *Server) answer(ctx *fasthttp.RequestCtx) {
	c := doorOf(ctx.Conn())
	s.protected(ctx, c)
	if c != nil {
		c.handled++
	}
	if s.draining.Load() {
		ctx.SetConnectionClose()
		if c != nil {
			c.leaving.Store(true)
		}
	}
}

// protected is Handle for as many as there is time for, and for pages that may ask.
func (s *Server) protected(ctx *fasthttp.RequestCtx, c *conn) {
	if s.cors != nil {
		s.cors.mark(ctx)
	}
	if c != nil && s.shed(ctx, c) {
		return
	}
	if s.cors != nil && s.cors.preflight(ctx) {
		return
	}
	s.Handle(ctx)
	if c != nil && ctx.Response.StatusCode() == fasthttp.StatusOK && !c.answered.Load() {
		c.answered.Store(true)
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
