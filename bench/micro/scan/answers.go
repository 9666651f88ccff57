package scan

import (
	"bytes"
	"fmt"
	"strconv"
)

var (
	ok200         = []byte("HTTP/1.1 200")
	headEnd       = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
	anError       = []byte(`"error"`)
	newline       = []byte{'\n'}
)

// httpLength is the length of an HTTP answer; one that is not 200 is an error.
func httpLength(b []byte) (int, error) {
	head := bytes.Index(b, headEnd)
	if head < 0 {
		return 0, nil
	}
	if !bytes.HasPrefix(b, ok200) {
		return 0, fmt.Errorf("it answered %.300q", b)
	}
	at := bytes.Index(b[:head], contentLength)
	if at < 0 {
		return 0, fmt.Errorf("an answer without a length: %q", b[:head])
	}
	n := head + len(headEnd)
	length := 0
	for _, c := range b[at+len(contentLength) : head] {
		if c < '0' || c > '9' {
			break
		}
		length = length*10 + int(c-'0')
	}
	if n += length; n > len(b) {
		return 0, nil
	}
	return n, nil
}

// batchLength is httpLength of a batch, all of whose lines must be verdicts.
func batchLength(lines int) func([]byte) (int, error) {
	return func(b []byte) (int, error) {
		n, err := httpLength(b)
		if n > 0 && (bytes.Count(b[bytes.Index(b, headEnd)+len(headEnd):n], newline) != lines || bytes.Contains(b[:n], anError)) {
			return 0, fmt.Errorf("not %d verdicts: %.300q", lines, b)
		}
		return n, err
	}
}

// redisLength is the length of Redis's answer to a GET; that there is no such key is an error.
func redisLength(b []byte) (int, error) {
	line := bytes.IndexByte(b, '\n')
	if line < 0 {
		return 0, nil
	}
	length, err := strconv.Atoi(string(b[1:max(1, line-1)]))
	if b[0] != '$' || err != nil || length < 0 {
		return 0, fmt.Errorf("it answered %.100q", b)
	}
	if n := line + 1 + length + 2; n <= len(b) {
		return n, nil
	}
	return 0, nil
}

// doneLength is the length of Redis's answer to a SET.
func doneLength(b []byte) (int, error) {
	const done = "+OK\r\n"
	if n := min(len(b), len(done)); string(b[:n]) != done[:n] {
		return 0, fmt.Errorf("it answered %.100q", b)
	}
	if len(b) < len(done) {
		return 0, nil
	}
	return len(done), nil
}
