package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/scanedge/scanedge"
)

// pusher pushes a file piece by piece and knows how far it has come. The fields below the first line change with each push.
type pusher struct {
	origin       *scanedge.Origin
	issuer, name string
	started      time.Time
	bar          *progress // nil off a terminal

	count  int    // deltas pushed
	pushes int    // pieces pushed
	offset uint64 // of the last push
	next   int    // number of the first line of the file that is not pushed
}

// cut is a piece, or why there is none, and how much of the input it took to get there.
type cut struct {
	*piece
	err  error
	read int64
}

// run pushes in order, one piece under way while the next is read: two of them are all the memory that it needs.
func (p *pusher) run(ctx context.Context, in io.Reader, f format) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cuts := make(chan cut)
	go readPieces(ctx, in, f, cuts) // apart, for a read from a pipe can't be interrupted
	for {
		select {
		case c, ok := <-cuts:
			if !ok {
				return nil
			}
			if c.err != nil {
				return p.failed(nil, p.unreadable(c.err))
			}
			if err := p.push(ctx, c.piece); err != nil {
				return p.failed(c.piece, err)
			}
			p.bar.show(c.read, p.count)
		case <-ctx.Done():
			return p.failed(nil, errInterrupted)
		}
	}
}

func (p *pusher) unreadable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("its gzip is cut short")
	}
	return fmt.Errorf("reading %s: %w", p.name, err)
}

// push leaves it to the origin whether there is a delta in the piece: a header alone, or blank lines, have none.
func (p *pusher) push(ctx context.Context, piece *piece) error {
	contentType := scanedge.NDJSON
	if piece.header > 0 {
		contentType = scanedge.CSV
	}
	receipt, err := p.origin.PushReader(ctx, p.issuer, contentType, bytes.NewReader(piece.body))
	problem := (*scanedge.Problem)(nil)
	switch {
	case err == nil:
		p.count += receipt.Count
		p.offset = receipt.Offset
		p.pushes++
	case errors.As(err, &problem) && problem.Type == scanedge.NoDeltas:
	case ctx.Err() != nil:
		return errInterrupted
	default:
		return err
	}
	p.next = piece.next
	return nil
}

// readPieces sends the pieces of the input and, if it does not end well, why; and closes cuts. It ends early with ctx.
func readPieces(ctx context.Context, in io.Reader, f format, cuts chan<- cut) {
	defer close(cuts)
	counted := &countingReader{in: in}
	send := func(p *piece, err error) bool {
		select {
		case cuts <- cut{p, err, counted.n}:
			return true
		case <-ctx.Done():
			return false
		}
	}
	lines, err := plain(counted)
	if err != nil {
		send(nil, err)
		return
	}
	s := newSplitter(lines, f == csvFormat || f == unknownFormat && !looksLikeJSON(lines))
	for {
		p, err := s.Next()
		if err == io.EOF || !send(p, err) || err != nil {
			return
		}
	}
}

// plain is the input without gzip and without a byte-order mark. Of the two, only gzip can end with io.ErrUnexpectedEOF.
func plain(in io.Reader) (*bufio.Reader, error) {
	r := bufio.NewReader(in)
	if magic, _ := r.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(r)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		r = bufio.NewReader(z)
	}
	if mark, _ := r.Peek(3); string(mark) == "\ufeff" {
		_, _ = r.Discard(len(mark))
	}
	return r, nil
}

// looksLikeJSON tells whether the first character that is not blank opens an object. It waits for no more input than that.
func looksLikeJSON(r *bufio.Reader) bool {
	for n := 1; n <= r.Size(); n++ {
		ahead, err := r.Peek(n)
		if err != nil {
			return false
		}
		if c := ahead[n-1]; !strings.ContainsRune(" \t\r\n", rune(c)) {
			return c == '{'
		}
	}
	return false
}

type countingReader struct {
	in io.Reader
	n  int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}

// failed adds to err, which ended the push, what of the file is pushed; at is the piece that was under way, if one was.
func (p *pusher) failed(at *piece, err error) error {
	problem, network := (*scanedge.Problem)(nil), (*net.OpError)(nil)
	refused := at == nil || errors.As(err, &problem) && problem.Type != scanedge.LogUnavailable ||
		errors.As(err, &network) && network.Op == "dial"
	if problem != nil && problem.Type == scanedge.BadLines {
		err = p.wrong(at, problem)
	}
	return fmt.Errorf("%w\n%s", err, p.standing(at, refused))
}

func (p *pusher) standing(at *piece, refused bool) string {
	if p.pushes == 0 && refused {
		return "Nothing was pushed."
	}
	var s string
	if p.pushes > 0 {
		s = fmt.Sprintf("Pushed is all before line %d: %s, offset %d. ", p.next, many(p.count, "delta"), p.offset)
	}
	if !refused {
		s += fmt.Sprintf("Lines %d to %d may or may not be pushed. ", at.first, at.next-1)
	}
	return s + "Pushing the whole file again is safe: a delta sets the whole record."
}

// wrong names the bad lines of a piece by their numbers in the file.
func (p *pusher) wrong(at *piece, problem *scanedge.Problem) error {
	var why strings.Builder
	fmt.Fprintf(&why, "%s: %s of %s can't be pushed:", problem.Type, many(problem.Bad, "line"), p.name)
	for _, line := range problem.Lines {
		line.Line = at.fileLine(line.Line)
		fmt.Fprintf(&why, "\n  %s", line)
	}
	if more := problem.Bad - len(problem.Lines); more > 0 {
		fmt.Fprintf(&why, "\n  and %s more", grouped(more))
	}
	return errors.New(why.String())
}
