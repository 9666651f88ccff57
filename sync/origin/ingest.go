package origin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
)

// readDeltas reads the body as keyed deltas: subject ids end here. Each time before it reads on it asks grow, with how many deltas it has,
// for how many it may make room.
func readDeltas(w *writer, from io.Reader, header http.Header, grow func(deltas int) (most int, err error)) (
	[]cache.Delta, *scanedge.Problem) {
	size, _ := strconv.ParseInt(header.Get("Content-Length"), 10, 64) // 0 when it is not known
	var deltas []cache.Delta
	var most int
	before := func() (err error) {
		most, err = grow(len(deltas))
		return err
	}
	_, problem := readRows(w, from, header, delta.DefaultLimits, before, func(d cache.Delta, read int64) {
		if len(deltas) == cap(deltas) {
			deltas = enlarge(deltas, read, size, most)
		}
		deltas = append(deltas, d)
	})
	if problem != nil {
		return nil, problem
	}
	return deltas, nil
}

// readRows calls row for each delta of a body, with how many bytes of it were read by then; after a problem none of them may be used.
// It calls before each time before it reads on. It returns how many deltas there are, at least one.
func readRows(w *writer, from io.Reader, header http.Header, limits delta.Limits, before func() error,
	row func(d cache.Delta, read int64)) (int, *scanedge.Problem) {
	coding := codings[strings.ToLower(strings.TrimSpace(header.Get("Content-Encoding")))]
	if coding == nil {
		return 0, scanedge.NewProblem(scanedge.UnsupportedCoding,
			fmt.Sprintf("Content-Encoding %q; send gzip, zstd or none", header.Get("Content-Encoding")))
	}
	b := coding.open(from)
	defer b.close()
	seed := w.secret.Seed
	read := readerFunc(func(p []byte) (int, error) {
		if err := before(); err != nil {
			return 0, err
		}
		return b.Read(p)
	})
	n, err := delta.Read(read, delta.FormatOf(header.Get("Content-Type")), limits, func(r delta.Row) {
		row(cache.Delta{Key: seed.Key(r.Subject), Record: r.Record}, b.sent.n)
	})
	if err != nil {
		return n, pushProblem(err)
	}
	if n == 0 {
		return n, scanedge.NewProblem(scanedge.NoDeltas, "the body has no line that is a delta")
	}
	return n, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// enlarge makes room for more deltas: for as many as the body has, to judge by those in the bytes that were read of it, but for
// no more than 64 times what came, whatever size promises, and for no more than most.
func enlarge(deltas []cache.Delta, read, size int64, most int) []cache.Delta {
	n := len(deltas)
	all := float64(n) * float64(size) / float64(read) * 17 / 16
	room := max(8, 2*n, int(min(all, 64*float64(n))))
	grown := make([]cache.Delta, n, min(room, most))
	copy(grown, deltas)
	return grown
}

// coding is a Content-Encoding that a push may have. Its bodies lie in a pool between pushes, for decoders are large.
type coding struct {
	name   string
	bodies sync.Pool // of *body
}

// maxWindow is how far back a zstd body may refer, in bytes: what RFC 9659 has every decoder of a Content-Encoding accept, and
// no encoder exceed. It bounds a decoder's memory.
const maxWindow = 8 << 20

var codings = func() map[string]*coding {
	plain := newCoding("", func() decoder { return nil })
	gz := newCoding("gzip", func() decoder { return new(gzip.Reader) })
	zs := newCoding("zstd", func() decoder {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			panic(err) // an option is wrong
		}
		return z
	})
	return map[string]*coding{"": plain, "identity": plain, "gzip": gz, "x-gzip": gz, "zstd": zs}
}()

func newCoding(name string, decoder func() decoder) *coding {
	c := &coding{name: name}
	c.bodies.New = func() any { return &body{coding: c, decoder: decoder()} }
	return c
}

// body is a push's body without its Content-Encoding.
type body struct {
	coding  *coding
	sent    sent
	decoder decoder // nil when there is nothing to undo
	err     error   // what the decoder ended with
}

type decoder interface {
	io.Reader
	Reset(io.Reader) error
}

func (c *coding) open(from io.Reader) *body {
	b := c.bodies.Get().(*body)
	b.sent = sent{r: from}
	if b.decoder != nil {
		b.err = b.decoder.Reset(&b.sent)
	}
	return b
}

// close ends the use of b.
func (b *body) close() {
	b.sent = sent{}
	b.coding.bodies.Put(b)
}

// Read reads what was sent, decoded. Its error wraps errEncoding unless it is the connection's.
func (b *body) Read(p []byte) (n int, err error) {
	if b.decoder == nil {
		return b.sent.Read(p)
	}
	if b.err == nil {
		n, b.err = b.decoder.Read(p)
	}
	switch {
	case b.err == nil:
		return n, nil
	case b.sent.err != nil && b.sent.err != io.EOF: // whatever the decoder took it for: zstd's takes a cut between two frames for the end
		return n, b.sent.err
	case b.err == io.EOF && b.sent.n > 0:
		return n, io.EOF
	default:
		return n, b.fault()
	}
}

// errEncoding marks a failure of the compression and not of the connection below it.
var errEncoding = errors.New("decode the body")

// fault says what was wrong with the compression.
func (b *body) fault() error {
	why := strings.TrimPrefix(b.err.Error(), b.coding.name+": ")
	switch {
	case b.sent.n == 0:
		why = "the body is empty"
	case errors.Is(b.err, io.ErrUnexpectedEOF):
		why = "it is cut short"
	case errors.Is(b.err, zstd.ErrWindowSizeExceeded) || errors.Is(b.err, zstd.ErrDecoderSizeExceeded):
		why = fmt.Sprintf("its window is over %d MiB; compress it without --long and --ultra", maxWindow>>20)
	}
	return fmt.Errorf("%w as %s: %s", errEncoding, b.coding.name, why)
}

// sent is a body as it was sent: counted, and with how it ended, for a decoder may take a connection that broke for the end of
// its stream.
type sent struct {
	r   io.Reader
	n   int64
	err error
}

func (s *sent) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n, s.err = s.n+int64(n), err
	return n, err
}

// pushProblem says what was wrong with the text.
func pushProblem(err error) *scanedge.Problem {
	var bad *delta.BadLinesError
	var limit *delta.LimitError
	switch {
	case errors.As(err, &bad):
		p := scanedge.NewProblem(scanedge.BadLines, "")
		p.Bad = bad.Bad
		for _, l := range bad.Lines {
			p.Lines = append(p.Lines, scanedge.BadLine(l))
		}
		return p
	case errors.As(err, &limit):
		word := map[string]scanedge.ProblemType{
			delta.LimitDeltas: scanedge.TooManyDeltas,
			delta.LimitBytes:  scanedge.TooLarge,
			delta.LimitLine:   scanedge.LineTooLong,
		}[limit.What]
		return scanedge.NewProblem(word, limit.Error())
	case errors.Is(err, errNoPlace):
		return scanedge.NewProblem(scanedge.Busy, errNoPlace.Error()+"; send it again")
	case errors.Is(err, errEncoding):
		return scanedge.NewProblem(scanedge.BadEncoding, err.Error())
	default:
		return scanedge.NewProblem(scanedge.BodyCut, err.Error())
	}
}
