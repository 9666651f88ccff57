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
	accept     = []byte("Accept")
)

// Handle answers one request. It is the fasthttp handler of the scan listener.
func (s *Server) Handle(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetCanonical(cacheControl, noStore)
	target := originForm(ctx.Request.Header.RequestURI())
	path, _, _ := bytes.Cut(target, []byte{'?'})
	by := asker{at: time.Now()}
	if bytes.HasPrefix(path, scanPrefix) {
		s.handleScan(ctx, path[len(scanPrefix):], &by)
		s.scanTimes.count(ctx.ConnID(), time.Since(by.at))
	} else if bytes.Equal(path, scanPath) {
		s.handleBatch(ctx, &by)
		s.batchTimes.count(ctx.ConnID(), time.Since(by.at))
	} else if string(path) == OpenAPIPath {
		s.handleContract(ctx)
	} else {
		fail(ctx, scanedge.NotFound)
	}
}

// handleScan answers GET /v1/scan/{code}. The code is taken from the raw request line, so that "/", "//" and ".." in it stay
// as they are.
func (s *Server) handleScan(ctx *fasthttp.RequestCtx, raw []byte, by *asker) {
	if !s.admit(ctx, fasthttp.MethodGet, by) || !s.spend(ctx, by, 1) {
		return
	}
	if bytes.IndexByte(raw, '%') >= 0 {
		var buf [maxCode]byte
		raw, _ = unescape(buf[:0], raw) // what is no escape is no code either
	}
	var v verdict
	key, ask := s.open(&v, raw, by)
	text := wantsText(ctx) // while the memory of the lookup is on its way
	if ask {
		v.found(v.vouch.Table.Lookup(key))
	}
	var at moment
	at.begin(s.now(by.at))
	s.settle(&v, by, &at)
	switch {
	case v.outcome.refused():
		v.fail(ctx)
	case text:
		ctx.Response.Header.SetContentTypeBytes(typeText)
		ctx.Response.AppendBodyString(v.outcome.String())
	default:
		var out [256]byte
		ctx.Response.Header.SetContentTypeBytes(typeJSON)
		ctx.Response.AppendBody(append(v.appendJSON(out[:0]), '\n'))
	}
}

// wantsText reports whether the answer is to be the bare word: text is accepted and JSON is not named.
func wantsText(ctx *fasthttp.RequestCtx) bool {
	types := ctx.Request.Header.PeekCanonical(accept)
	return len(types) >= len(typeText) && bytes.Contains(types, typeText) && !bytes.Contains(types, []byte("json"))
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
