package edge

import (
	"bytes"
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/limit"
)

var (
	authorization = []byte("Authorization")
	bearer        = []byte("Bearer ")
	minOffset     = []byte("Scanedge-Min-Offset")
)

// asker is who wants to know, and what he said of the answer.
type asker struct {
	scanner bool         // he brought a scanner key that is known; without one he is a holder, who learns what his rolling code says, and no more
	least   []byte       // of Scanedge-Min-Offset, as it came; it was checked
	limits  limit.Caller // the key's, or without one that of his address
	at      time.Time    // when his request had been read
}

// admit finds out who asks. It answers a request that is of another method or that may not go on, and reports whether it may.
func (s *Server) admit(ctx *fasthttp.RequestCtx, method string, by *asker) (ok bool) {
	if string(ctx.Method()) != method {
		ctx.Response.Header.Set("Allow", method)
		fail(ctx, scanedge.MethodNotAllowed)
		return false
	}
	if why := s.asker(ctx, by); why != judged {
		v := verdict{outcome: why}
		s.settle(&v, by, &moment{now: by.at})
		v.fail(ctx)
		return false
	}
	if by.least, ok = least(&ctx.Request.Header); !ok {
		fail(ctx, scanedge.BadMinOffset)
	}
	return ok
}

// asker says who asks, and why he may not, or judged. An edge that has not heard from the origin yet knows no keys. Who brings a key
// that is not known is no holder: a scanner is to learn that its key is good no more.
func (s *Server) asker(ctx *fasthttp.RequestCtx, by *asker) (why outcome) {
	known := s.keys.Load()
	if known == nil {
		return notReady
	}
	key := ctx.Request.Header.PeekCanonical(authorization)
	if isBearer(key) {
		if by.limits, by.scanner = (*known)(bytes.TrimSpace(key[len(bearer):]), by.at); by.scanner {
			return judged
		}
	}
	if key == nil && s.certified(ctx, by) {
		return judged
	}
	if by.limits = s.guest(ctx, by.at); key == nil && ctx.IsGet() {
		return judged
	}
	return noKey
}

// isBearer reports whether what follows the first word is a key. Case is of no account (RFC 9110, 11.1); hardly anybody makes use of that.
func isBearer(credentials []byte) bool {
	n := len(bearer)
	return len(credentials) >= n && (string(credentials[:n]) == string(bearer) || bytes.EqualFold(credentials[:n], bearer))
}

// least is the value of Scanedge-Min-Offset, nil if there is none, and whether it can be used.
func least(h *fasthttp.RequestHeader) (value []byte, ok bool) {
	value = h.PeekCanonical(minOffset)
	if value == nil {
		return nil, true
	}
	ok = len(h.PeekAll(string(minOffset))) == 1
	for rest := value; ok && rest != nil; {
		_, _, rest, ok = cutLeast(rest)
	}
	return value, ok
}

// leastOf is the offset that the issuer's table must have reached.
func (by *asker) leastOf(issuer string) (offset uint64) {
	for rest := by.least; rest != nil; {
		var of []byte
		var n uint64
		if of, n, rest, _ = cutLeast(rest); len(of) == 0 || string(of) == issuer {
			offset = max(offset, n)
		}
	}
	return offset
}

// cutLeast cuts the first item off a list "demo-a=12, demo-b=7, 3": an offset of an issuer, or of each. rest is nil at the end.
func cutLeast(list []byte) (issuer []byte, offset uint64, rest []byte, ok bool) {
	item, rest, more := bytes.Cut(list, []byte{','})
	if !more {
		rest = nil
	}
	item = bytes.Trim(item, " \t")
	issuer, digits, named := bytes.Cut(item, []byte{'='})
	if !named {
		issuer, digits = nil, item
	} else if cache.CheckIssuer(issuer) != nil {
		return nil, 0, nil, false
	}
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 || offset > (math.MaxUint64-d)/10 {
			return nil, 0, nil, false
		}
		offset = offset*10 + d
	}
	return issuer, offset, rest, len(digits) > 0
}
