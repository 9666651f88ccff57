package edge

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// cors lets pages of other origins scan: browsers ask first (a preflight) and show a page an answer only if it says that they may.
type cors struct {
	any     bool
	origins [][]byte
}

// AllowOrigins lets pages of these origins (https://HOST, or * for all) scan from a browser. They send their key or rolling code as anybody
// does; no cookie is ever looked at. To be called before the server serves.
func (s *Server) AllowOrigins(origins []string) {
	if len(origins) == 0 {
		s.cors = nil
		return
	}
	c := new(cors)
	for _, o := range origins {
		c.any = c.any || o == "*"
		c.origins = append(c.origins, []byte(o))
	}
	s.cors = c
}

// mark says in an answer which page may see it, and what of it.
func (c *cors) mark(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	if c.any {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Vary", "Origin")
		origin := ctx.Request.Header.Peek("Origin")
		if !c.allows(origin) {
			return
		}
		h.SetBytesV("Access-Control-Allow-Origin", origin)
	}
	h.Set("Access-Control-Expose-Headers", "Retry-After")
}

func (c *cors) allows(origin []byte) bool {
	for _, o := range c.origins {
		if bytes.Equal(o, origin) {
			return true
		}
	}
	return false
}

// preflight answers a browser that asks what a page may send, after mark, and reports whether it was one.
func (c *cors) preflight(ctx *fasthttp.RequestCtx) bool {
	if !ctx.IsOptions() || len(ctx.Request.Header.Peek("Access-Control-Request-Method")) == 0 {
		return false
	}
	h := &ctx.Response.Header
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Scanedge-Min-Offset")
	h.Set("Access-Control-Max-Age", "7200") // no browser remembers it for longer
	h.SetCanonical(cacheControl, noStore)
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return true
}
