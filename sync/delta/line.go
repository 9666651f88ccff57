package delta

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// lines cuts a stream into lines and enforces Limits.Line and Limits.Bytes. Its buffer is as large as the longest line that
// passes, so an endless line ends it after one buffer.
type lines struct {
	r   io.Reader
	err error // what r ended with
	lim Limits

	buf      *[]byte // from buffers
	from, to int     // of what is read and not yet cut

	no   int   // of the line that next returned last, from 1
	read int64 // bytes up to its end
}

// buffers keeps lines' buffers between pushes: most pushes are one line, and far smaller than what they might be.
var buffers sync.Pool

func newLines(r io.Reader, lim Limits) *lines {
	size := len(bom) + lim.Line + len("\r\n")
	buf, _ := buffers.Get().(*[]byte)
	if buf == nil || len(*buf) != size {
		b := make([]byte, size)
		buf = &b
	}
	return &lines{r: r, lim: lim, buf: buf}
}

// free gives the buffer back; no line that next returned may be used any more.
func (l *lines) free() { buffers.Put(l.buf) }

// next returns the next line that is not blank, without its end. The line is the caller's, to change too, until the next
// call. After the last it returns io.EOF itself; other errors carry the line's number.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.cut()
		if len(line) == 0 && err == io.EOF {
			return nil, io.EOF
		}
		l.no++
		l.read += int64(len(line))
		if l.no == 1 {
			line = bytes.TrimPrefix(line, bom)
		}
		line = trimEnd(line)
		switch {
		case len(line) > l.lim.Line: // also whenever the buffer is full
			return nil, &LimitError{What: LimitLine, Limit: int64(l.lim.Line), Line: l.no}
		case l.read > l.lim.Bytes:
			return nil, &LimitError{What: LimitBytes, Limit: l.lim.Bytes, Line: l.no}
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("read line %d of the push: %w", l.no, err)
		case !blank(line):
			return line, nil
		}
	}
}

// cut returns the next line with its end. One that has none, as the input or the buffer ends first, comes with r's error.
func (l *lines) cut() ([]byte, error) {
	buf := *l.buf
	for seen := 0; ; {
		rest := buf[l.from:l.to]
		if i := bytes.IndexByte(rest[seen:], '\n'); i >= 0 {
			l.from += seen + i + 1
			return rest[:seen+i+1], nil
		}
		if seen = len(rest); l.err != nil || seen == len(buf) {
			l.from = l.to
			return rest, l.err
		}
		l.to, l.from = copy(buf, rest), 0
		l.fill(buf[l.to:])
	}
}

// fill reads something, or why there is no more, into space, which is the end of the buffer.
func (l *lines) fill(space []byte) {
	const patience = 100 // as bufio has it, with readers that return nothing and no error
	for range patience {
		var n int
		n, l.err = l.r.Read(space)
		if l.to += n; n > 0 || l.err != nil {
			return
		}
	}
	l.err = io.ErrNoProgress
}

// trimEnd cuts off LF and CRLF, and the CR that is left of a CRLF at the end of the input.
func trimEnd(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

func blank(line []byte) bool {
	for _, c := range line {
		if !isSpace(c) {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
