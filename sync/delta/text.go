package delta

import (
	"bytes"
	"io"
	"strings"

	"github.com/scanedge/scanedge/cache"
)

// Format is a text form of a push.
type Format int

// The formats. In both a delta is one line, ended by LF or CRLF or the end of the input; blank lines and a byte-order mark at
// the start are skipped.
const (
	// Sniffed is told by the first byte that is neither blank nor of a byte-order mark: '{' begins NDJSON, all else CSV.
	Sniffed Format = iota
	// NDJSON has a JSON object a line, of these members alone and each at most once, in any order:
	//
	//	{"subject":"d1","status":"red","until":"2026-01-31T23:59:59Z","reason":3}
	//	{"subject":"d1","remove":true}
	//
	// Subject is always there, status unless remove is true; a removal carries nothing else.
	NDJSON
	// CSV starts with a header, the columns subject and status and perhaps until, reason and remove, in any order. Fields may
	// be quoted, a quote within doubled; an empty until, reason or remove counts as absent. Remove is true, false, 1 or 0.
	CSV
)

// String is "sniffed", "NDJSON" or "CSV".
func (f Format) String() string { return [...]string{"sniffed", "NDJSON", "CSV"}[f] }

var bom = []byte("\uFEFF")

// FormatOf is the format that a Content-Type names, or Sniffed when it names none.
func FormatOf(contentType string) Format {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "application/x-ndjson", "application/json", "application/jsonl":
		return NDJSON
	case "text/csv":
		return CSV
	}
	return Sniffed
}

// sniff tells the format by the first line that is not blank.
func sniff(line []byte) Format {
	if line = bytes.TrimLeft(line, " \t\r"); len(line) > 0 && line[0] == '{' {
		return NDJSON
	}
	return CSV
}

// Row is a good line of a push.
type Row struct {
	Subject []byte // valid until the function that got the row returns
	Record  cache.Record
}

// Limits bounds a push. What is exactly as large as a limit passes.
type Limits struct {
	Deltas int   // lines that are neither blank nor a header, bad ones included
	Bytes  int64 // as read, line ends and blank lines included
	Line   int   // bytes of a line without its end
}

// DefaultLimits is what an origin takes in one push: 1,000,000 deltas, 256 MiB, 64 KiB a line.
var DefaultLimits = Limits{Deltas: 1_000_000, Bytes: 256 << 20, Line: 64 << 10}

// Read reads a push to its end and hands every delta to row, in order, as long as no line was bad; from the first bad line on
// it only checks. So row may run before Read fails, and its caller applies nothing until Read has returned nil. It returns
// how often row was called.
//
// The error is a [*BadLinesError] that names the bad lines, a [*LimitError] at once when a limit is passed, or a failure of r,
// wrapped. A CSV header that is bad is named alone, for without it no line can be judged. Read holds one line in memory, reads
// hardly further than the limit that is passed, and allocates nothing for a good line.
func Read(r io.Reader, f Format, lim Limits, row func(Row)) (int, error) {
	lines := newLines(r, lim)
	defer lines.free()
	line, err := lines.next()
	if f == Sniffed {
		f = sniff(line)
	}
	parse := parseJSON
	if f == CSV && err == nil {
		h, field, why := parseHeader(line)
		if why != "" {
			return 0, &BadLinesError{Lines: []BadLine{{lines.no, field, why}}, Bad: 1}
		}
		parse = h.parse
		line, err = lines.next()
	}
	var n int
	var bad *BadLinesError
	for count := 1; err == nil; count++ {
		if count > lim.Deltas {
			return n, &LimitError{What: LimitDeltas, Limit: int64(lim.Deltas), Line: lines.no}
		}
		out, field, why := parse(line)
		if why != "" {
			bad = bad.add(BadLine{lines.no, field, why})
		} else if bad == nil {
			row(out)
			n++
		}
		line, err = lines.next()
	}
	switch {
	case err != io.EOF:
		return n, err
	case bad != nil:
		return n, bad
	}
	return n, nil
}
