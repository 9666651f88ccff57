package edge

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge/passcode"
)

// maxCode is the length of the longest code, in bytes.
const maxCode = passcode.MaxCode

var (
	scanPath   = []byte("/v1/scan")
	scanPrefix = []byte("/v1/scan/")
)

// Handle answers one request. It is the fasthttp handler of the scan listener.
func (s *Server) Handle(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetBytesV("Cache-Control", noStore)
	target := originForm(ctx.Request.Header.RequestURI())
	path, _, _ := bytes.Cut(target, []byte{'?'})
	if began := ctx.Time(); bytes.HasPrefix(path, scanPrefix) {
		s.handleScan(ctx, path[len(scanPrefix):])
		s.scanTimes.count(ctx.ConnID(), time.Since(began))
	} else if bytes.Equal(path, scanPath) {
		s.handleBatch(ctx)
		s.batchTimes.count(ctx.ConnID(), time.Since(began))
	} else {
		fail(ctx, scanedge.NotFound)
	}
}

// handleScan answers GET /v1/scan/{code}. The code is taken from the raw request line, so that "/", "//" and ".." in it stay
// as they are.
func (s *Server) handleScan(ctx *fasthttp.RequestCtx, raw []byte) {
	if !s.admit(ctx, fasthttp.MethodGet) {
		return
	}
	var buf [maxCode]byte
	v := verdict{problem: scanedge.MalformedCode}
	if code, ok := unescape(buf[:0], raw); ok {
		v = s.judge(code)
	}
	now := time.Now()
	word := v.word(now)
	s.words[word].Inc()
	switch {
	case v.problem != "":
		fail(ctx, v.problem)
	case wantsText(ctx):
		ctx.Response.Header.SetContentTypeBytes(typeText)
		ctx.Response.AppendBodyString(word)
	default:
		var out [256]byte
		ctx.Response.Header.SetContentTypeBytes(typeJSON)
		ctx.Response.AppendBody(append(v.appendJSON(out[:0], word, now), '\n'))
	}
}

// judge gives the verdict on a code. It allocates nothing.
func (s *Server) judge(code []byte) verdict {
	var c passcode.Code
	if !passcode.Parse(code, &c) || c.Kind != passcode.Plain {
		return verdict{problem: scanedge.MalformedCode}
	}
	h := s.holdings()[string(c.Issuer())]
	if h == nil {
		return verdict{problem: scanedge.IssuerNotHeld}
	}
	v := h.vouch.Load()
	if v == nil {
		return verdict{problem: scanedge.NotReady}
	}
	if v.PlainOff {
		return verdict{problem: scanedge.PlainForbidden}
	}
	r, ok := v.Table.Lookup(v.Seed.Key(c.Subject()))
	if !ok {
		return verdict{problem: scanedge.UnknownSubject, held: h, vouch: v}
	}
	return verdict{record: r, held: h, vouch: v}
}

// admit answers a request that is of another method or without a known key, and says whether it may go on.
func (s *Server) admit(ctx *fasthttp.RequestCtx, method string) bool {
	if string(ctx.Method()) != method {
		ctx.Response.Header.Set("Allow", method)
		fail(ctx, scanedge.MethodNotAllowed)
		return false
	}
	word := s.refuse(ctx)
	if word != "" {
		s.words[string(word)].Inc()
		fail(ctx, word)
	}
	return word == ""
}

// refuse says why the scanner may not scan, or "". An edge that has not heard from the origin yet knows no keys.
func (s *Server) refuse(ctx *fasthttp.RequestCtx) scanedge.ProblemType {
	known := s.keys.Load()
	if known == nil {
		return scanedge.NotReady
	}
	key := ctx.Request.Header.Peek("Authorization")
	if len(key) < len(bearer) || !bytes.EqualFold(key[:len(bearer)], bearer) || !(*known)(bytes.TrimSpace(key[len(bearer):])) {
		return scanedge.NoKey
	}
	return ""
}

// wantsText reports whether the answer is to be the bare word: text is accepted and JSON is not named.
func wantsText(ctx *fasthttp.RequestCtx) bool {
	accept := ctx.Request.Header.Peek("Accept")
	return bytes.Contains(accept, typeText) && !bytes.Contains(accept, []byte("json"))
}

// originForm cuts scheme and host from a target in absolute form, as a client sends through a proxy (RFC 9112, 3.2.2).
func originForm(target []byte) []byte {
	if len(target) > 0 && target[0] == '/' {
		return target
	}
	if i := bytes.Index(target, []byte("://")); i > 0 {
		if j := bytes.IndexByte(target[i+3:], '/'); j >= 0 {
			return target[i+3+j:]
		}
	}
	return target
}

// unescape percent-decodes raw once into dst, whose capacity bounds the result. It reports false for a bad escape and for what
// is longer than any code.
func unescape(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return nil, false
			}
			hi, lo := unhex[raw[i+1]], unhex[raw[i+2]]
			if hi|lo > 15 {
				return nil, false
			}
			c = hi<<4 | lo
			i += 2
		}
		if len(dst) == cap(dst) {
			return nil, false
		}
		dst = append(dst, c)
	}
	return dst, true
}

// unhex is a hex digit's value, 255 for what is none.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789") {
		t[c] = byte(i)
	}
	for i, c := range []byte("abcdef") {
		t[c], t[c-'a'+'A'] = byte(10+i), byte(10+i)
	}
	return t
}()
