package edge

import (
	"errors"
	"io"
	"math/bits"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
)

const (
	firstBody = 16 << 10 // bytes that a body gets to begin with; from then on twice as much each time that they are full
	allBodies = 64 << 20 // bytes that all bodies under way may hold together
	slowBody  = 16 << 10 // bytes a second that a body must come with, after readWithin
)

// bodies is the memory of the bodies that are under way. It is taken as their bytes come, whatever was announced: who announces much
// and sends little holds little.
type bodies struct {
	held  atomic.Int64
	pools [sizes]sync.Pool // of *[]byte, by size: firstBody bytes, twice that, and so on
}

// sizes is how many sizes bodies have.
const sizes = 7 // the last one is of maxBody + firstBody

// body is what a request sent, until its release.
type body struct {
	bytes []byte
	of    *bodies // nil: it is somebody else's
}

// readBody reads the body of a request whose sender was admitted, of at most maxBody bytes. It answers a request that it can't read, and
// reports whether it could.
func (s *Server) readBody(ctx *fasthttp.RequestCtx) (b body, ok bool) {
	stream := ctx.RequestBodyStream()
	if stream == nil { // there is none, or the request was not read by our server
		return body{bytes: ctx.Request.Body()}, true
	}
	announced := ctx.Request.Header.ContentLength() // at most maxBody (see expect); negative if it comes in chunks
	read, err := s.bodies.read(stream, func(size int) error {
		return ctx.SetReadDeadline(ctx.Time().Add(readWithin + time.Duration(size)*time.Second/slowBody))
	})
	b = body{read, &s.bodies}
	if err == nil && announced > len(read) {
		err = io.ErrUnexpectedEOF // which fasthttp leaves to be found out
	}
	if err == nil {
		return b, true
	}
	b.release()
	switch late := net.Error(nil); {
	case errors.Is(err, errBodies):
		s.shedBy["bodies"].Inc()
		ctx.SetConnectionClose()
		failOverloaded(ctx)
	case errors.Is(err, errLong):
		refuseBody(ctx, scanedge.TooLarge)
	case errors.As(err, &late):
		_ = ctx.Conn().Close() // its sender is slow, or gone
	default:
		refuseBody(ctx, scanedge.BadRequest)
	}
	return body{}, false
}

// release gives the memory back.
func (b body) release() {
	if b.of == nil {
		return
	}
	b.of.giveBack(b.bytes)
}

// giveBack takes the memory of a body that is not read any more.
func (b *bodies) giveBack(body []byte) {
	if cap(body) == 0 {
		return
	}
	b.held.Add(-int64(cap(body)))
	body = body[:0]
	b.pools[sizeOf(cap(body))].Put(&body)
}

// sizeOf is which size so many bytes are.
func sizeOf(bytes int) int { return bits.Len(uint(bytes/firstBody)) - 1 }

// refuseBody answers without reading on; what is left of the body would be taken for the next request, so the connection ends.
func refuseBody(ctx *fasthttp.RequestCtx, t scanedge.ProblemType) {
	ctx.SetConnectionClose()
	fail(ctx, t)
}

var (
	errBodies = errors.New("all bodies together are too large")
	errLong   = errors.New("the body is too large")
)

// read reads r to its end. Before it reads beyond the first bytes it asks with how many it goes on.
func (b *bodies) read(r io.Reader, more func(size int) error) (body []byte, err error) {
	if body, err = b.grow(nil); err != nil {
		return nil, err
	}
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxBody:
			return body, errLong
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, err
		case len(body) < cap(body):
			continue
		}
		if body, err = b.grow(body); err != nil {
			return body, err
		}
		if err := more(cap(body)); err != nil {
			return body, err
		}
	}
}

// grow returns the body with twice the room, or with the first. It fails where all of them would have too much.
func (b *bodies) grow(body []byte) ([]byte, error) {
	size := max(firstBody, 2*cap(body))
	if size > maxBody/2 {
		size = maxBody + firstBody // so that one byte too many can be read
	}
	if b.held.Add(int64(size)) > allBodies {
		b.held.Add(-int64(size))
		return body, errBodies
	}
	var grown []byte
	if p, ok := b.pools[sizeOf(size)].Get().(*[]byte); ok {
		grown = *p
	} else {
		grown = make([]byte, 0, size)
	}
	grown = append(grown, body...)
	b.giveBack(body)
	return grown, nil
}
