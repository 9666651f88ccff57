package edge

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
)

const (
	maxCodes = 100_000 // lines in one batch
	maxBody  = 4 << 20 // bytes of one batch
)

// handleBatch answers POST /v1/scan: codes in, a line each and undecoded, answers out in the same order, a line each.
func (s *Server) handleBatch(ctx *fasthttp.RequestCtx) {
	if !s.admit(ctx, fasthttp.MethodPost) {
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
		out = s.appendLine(out, bytes.TrimSuffix(line, []byte{'\r'}), text)
	}
	ctx.Response.SetBodyRaw(out)
}

func (s *Server) appendLine(out, code []byte, text bool) []byte {
	v := s.judge(code)
	now := time.Now()
	word := v.word(now)
	s.words[word].Inc()
	switch {
	case text:
		out = append(out, word...)
	case v.problem != "":
		out = append(out, `{"error":"`...)
		out = append(out, word...)
		out = append(out, `"}`...)
	default:
		out = v.appendJSON(out, word, now)
	}
	return append(out, '\n')
}
