package edge

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
)

const (
	maxCodes = 100_000 // lines in one batch
	maxBody  = 4 << 20 // bytes of one batch
)

// handleBatch answers POST /v1/scan: codes in, a line each and undecoded, answers out in the same order, a line each.
func (s *Server) handleBatch(ctx *fasthttp.RequestCtx) {
	by, ok := s.admit(ctx, fasthttp.MethodPost)
	if !ok {
		return
	}
	if coding := ctx.Request.Header.ContentEncoding(); len(coding) > 0 && string(coding) != "identity" {
		fail(ctx, scanedge.UnsupportedCoding)
		return
	}
	body := ctx.Request.Body()
	if bytes.Count(body[:max(0, len(body)-1)], []byte{'\n'}) >= maxCodes { // what ends the last line begins no other
		fail(ctx, scanedge.TooManyCodes)
		return
	}
	if !s.spend(ctx, by, max(1, bytes.Count(body, []byte{'\n'}))) {
		return
	}
	text := wantsText(ctx)
	if text {
		ctx.Response.Header.SetContentTypeBytes(typeText)
	} else {
		ctx.Response.Header.SetContentTypeBytes(typeNDJSON)
	}
	out := make([]byte, 0, len(body)*4)
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte{'\n'})
		v := s.judge(bytes.TrimSuffix(line, []byte{'\r'}), by)
		out = v.appendLine(out, text)
	}
	ctx.Response.SetBodyRaw(out)
}
