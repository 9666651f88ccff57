package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// Limits of a piece: small enough that a few of them are little memory, and well below what an origin takes in one push.
const (
	pieceBytes = 8 << 20
	pieceLines = 200_000
	lineBytes  = 64 << 10 // without its line end: the origin's own limit
)

// limits of a piece; its header counts as bytes, not as a line.
type limits struct {
	Bytes int `json:"bytes"`
	Lines int `json:"lines"`
}

// pieceLimits are those of a push. Tests shorten them.
var pieceLimits = limits{pieceBytes, pieceLines}

// piece is whole lines of a file, to be pushed as one batch.
type piece struct {
	body   []byte // with the CSV's header in front; line ends as in the file
	header int    // number of the header's line in the file, 0 for none; lines count from 1
	first  int    // number of the first line behind the header
	next   int    // number of the first line that is not in the piece any more
	end    int64  // byte of the file's text at which that line begins
}

// fileLine turns a line's number in the piece, as an origin counts, into its number in the file.
func (p *piece) fileLine(n int) int {
	switch {
	case p.header == 0:
		return p.first + n - 1
	case n == 1:
		return p.header
	}
	return p.first + n - 2
}

// splitter cuts a file into pieces of whole lines, reading no further ahead than a line. Every line lands in exactly one
// piece, in order and byte for byte, but for a CSV's header, which is in each, and blank lines before it, which are in none.
// It is not for concurrent use.
type splitter struct {
	limits limits

	in       *bufio.Reader
	csv      bool
	header   []byte
	headerAt int
	line     int    // number of the line read last
	at       int64  // byte of the text at which the line after it begins
	held     []byte // that line, when it was too much for its piece; lies in the reader's buffer
	err      error  // how reading ended
	largest  int    // bytes of the largest piece so far: likely the next one's
}

func newSplitter(r io.Reader, csv bool) *splitter {
	const full = lineBytes + len("\r\n") // a line that fills the buffer without an end is too long
	return &splitter{limits: pieceLimits, in: bufio.NewReaderSize(r, full), csv: csv}
}

// skip lets the first piece begin at the line of that number, which is byte at of the text. The header is read on the way. With
// seek, which moves what the text is read from, the bytes between are not read.
func (s *splitter) skip(line int, at int64, seek func(int64) (io.Reader, error)) error {
	if s.csv && !s.readHeader() {
		return s.err
	}
	if seek == nil {
		if _, err := s.in.Discard(int(at - s.at)); err != nil {
			return err
		}
	} else {
		r, err := seek(at)
		if err != nil {
			return err
		}
		s.in.Reset(r)
	}
	s.line, s.at = line-1, at
	return nil
}

// Next returns the next piece, which shares no memory with others, or io.EOF after the last one. A header without a line
// behind it is a piece too. After any other error there is no piece of the lines since the last: half of them should not be
// pushed.
func (s *splitter) Next() (*piece, error) {
	begins := s.csv && s.headerAt == 0
	if begins && !s.readHeader() {
		return nil, s.err
	}
	p := &piece{header: s.headerAt, first: s.upcoming(), body: append(make([]byte, 0, s.largest), s.header...)}
	for n := range s.limits.Lines {
		line := s.take()
		if line == nil {
			break
		}
		if n > 0 && len(p.body)+len(line) > s.limits.Bytes {
			s.held = line
			break
		}
		p.body = append(p.body, line...)
	}
	p.next, p.end = s.upcoming(), s.at-int64(len(s.held))
	empty := p.next == p.first && !begins
	if s.err != nil && (s.err != io.EOF || empty) {
		return nil, s.err
	}
	s.largest = max(s.largest, len(p.body))
	return p, nil
}

// upcoming is the number of the line that take returns next.
func (s *splitter) upcoming() int {
	if s.held != nil {
		return s.line
	}
	return s.line + 1
}

func (s *splitter) readHeader() bool {
	for line := s.take(); line != nil; line = s.take() {
		if blank := len(bytes.TrimSpace(line)) == 0; !blank {
			s.header, s.headerAt = bytes.Clone(line), s.line
			return true
		}
	}
	return false
}

// take returns the next line with its end, valid until the next call; or nil, and s.err says why there is none.
func (s *splitter) take() []byte {
	if line := s.held; line != nil {
		s.held = nil
		return line
	}
	if s.err != nil {
		return nil
	}
	line, err := s.in.ReadSlice('\n')
	if len(line) > 0 {
		s.line++
		s.at += int64(len(line))
	}
	if err == bufio.ErrBufferFull || len(withoutEnd(line)) > lineBytes {
		err = fmt.Errorf("line %d is longer than %s bytes", s.line, grouped(lineBytes))
		line = nil
	}
	s.err = err
	if len(line) == 0 || err != nil && err != io.EOF {
		return nil
	}
	return line
}

func withoutEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
