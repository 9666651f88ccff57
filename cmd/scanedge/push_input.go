package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// input is what is pushed: a file, a pipe or standard input.
type input struct {
	io.ReadCloser
	name string
	file *os.File // nil unless it is a regular file, which can be read again
	size int64    // -1 where the end is not known
}

func openInput(file string, stdin io.Reader) (*input, error) {
	if file == "-" {
		return &input{io.NopCloser(stdin), "standard input", nil, -1}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("nothing was pushed: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return &input{f, file, f, info.Size()}, nil
	}
	return &input{f, file, nil, -1}, nil
}

// cut is a piece, or why there is none, and how much of the input it took to get there.
type cut struct {
	*piece
	err  error
	read int64
}

// readPieces sends the pieces of what is not pushed of the run and, if the input does not end well, why; and closes cuts. It
// ends early with ctx.
func readPieces(ctx context.Context, in *input, run pushRun, cuts chan<- cut) {
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
	s, err := openSplitter(counted, run)
	if err != nil {
		send(nil, err)
		return
	}
	for {
		p, err := s.Next()
		if err == io.EOF || !send(p, err) || err != nil {
			return
		}
	}
}

// openSplitter returns a splitter whose first piece is the first that the run has not pushed.
func openSplitter(in *countingReader, run pushRun) (*splitter, error) {
	text, err := plain(in)
	if err != nil {
		return nil, err
	}
	s := newSplitter(text, run.Format == csvFormat || run.Format == unknownFormat && !looksLikeJSON(text.Reader))
	s.at = text.at
	if run.Pieces == 0 {
		return s, nil
	}
	seek := in.seek
	if text.compressed {
		seek = nil
	}
	if err := s.skip(run.Next, run.Position, seek); err != nil {
		return nil, fmt.Errorf("finding line %d again: %w", run.Next, err)
	}
	return s, nil
}

// text is an input without compression and byte-order mark.
type text struct {
	*bufio.Reader
	at         int64 // bytes of the mark
	compressed bool
}

// What compressed inputs begin with. The second zstd is a frame to be skipped, as in what pzstd writes.
var (
	gzipMagic = []byte("\x1f\x8b")
	zstdMagic = []byte("\x28\xb5\x2f\xfd")
	zstdSkip  = []byte("\x2a\x4d\x18")
)

func plain(in io.Reader) (text, error) {
	t := text{Reader: bufio.NewReader(in)}
	magic, _ := t.Peek(4)
	unpacked, err := unpack(t.Reader, magic)
	if err != nil {
		return text{}, err
	}
	if unpacked != nil {
		t = text{Reader: bufio.NewReader(unpacked), compressed: true}
	}
	if mark, _ := t.Peek(3); string(mark) == "\ufeff" {
		n, _ := t.Discard(len(mark))
		t.at = int64(n)
	}
	return t, nil
}

// unpack undoes the compression that the magic tells; nil if it tells none.
func unpack(in io.Reader, magic []byte) (r io.Reader, err error) {
	coding := ""
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		coding = "gzip"
		r, err = gzip.NewReader(in)
	case bytes.Equal(magic, zstdMagic), len(magic) == 4 && magic[0]>>4 == 5 && bytes.Equal(magic[1:], zstdSkip):
		coding = "zstd"
		r, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1)) // no goroutine that must be ended
	default:
		return nil, nil
	}
	if err != nil {
		return nil, cutShort(coding, err)
	}
	return &unpacker{r, coding}, nil
}

type unpacker struct {
	io.Reader
	coding string
}

func (u *unpacker) Read(b []byte) (int, error) {
	n, err := u.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = cutShort(u.coding, err)
	}
	return n, err
}

func cutShort(coding string, err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("its %s is cut short", coding)
	}
	return err
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

// countingReader knows how many bytes of the input are behind it.
type countingReader struct {
	in io.Reader
	n  int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}

// seek goes to a byte of a regular file.
func (c *countingReader) seek(at int64) (io.Reader, error) {
	file := c.in.(*input).file
	_, err := file.Seek(at, io.SeekStart)
	c.n = at
	return c, err
}
