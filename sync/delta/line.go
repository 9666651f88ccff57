package delta

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// lines cuts a stream into lines and enforces Limits.Line and Limits.Bytes. Its buffer is as large as the longest line that
// passes, so an endless line ends it after one buffer.
type lines struct {
	r   *bufio.Reader
	lim Limits

	no   int   // of the line that next returned last, from 1
	read int64 // bytes up to its end
}

func newLines(r io.Reader, lim Limits) *lines {
	return &lines{r: bufio.NewReaderSize(r, len(bom)+lim.Line+len("\r\n")), lim: lim}
}

// next returns the next line that is not blank, without its end. The line is the caller's, to change too, until the next
// call. After the last it returns io.EOF itself; other errors carry the line's number.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.r.ReadSlice('\n')
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

// trimEnd cuts off LF and CRLF, and the CR that is left of a CRLF at the end of the input.
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
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
