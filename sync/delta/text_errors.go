package delta

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// BadLine says why a line of a push is no delta.
type BadLine struct {
	Line  int    // from 1; a CSV header and blank lines count
	Field string // the member or column at fault, or "" when it is the line as a whole
	Why   string
}

// String reads like `line 7: status: unknown status "blue"`.
func (b BadLine) String() string {
	if b.Field == "" {
		return fmt.Sprintf("line %d: %s", b.Line, b.Why)
	}
	return fmt.Sprintf("line %d: %s: %s", b.Line, b.Field, b.Why)
}

// maxNamed is how many bad lines an error names; it counts them all.
const maxNamed = 20

// BadLinesError says that lines of a push are no deltas. The push as a whole is refused.
type BadLinesError struct {
	Lines []BadLine // the first 20
	Bad   int       // how many in all
}

// Error gives the number of bad lines and the first of them.
func (e *BadLinesError) Error() string {
	if e.Bad == 1 {
		return e.Lines[0].String()
	}
	return fmt.Sprintf("%d bad lines, the first: %s", e.Bad, e.Lines[0])
}

// add counts a bad line. The first makes the error: e may be nil.
func (e *BadLinesError) add(b BadLine) *BadLinesError {
	if e == nil {
		e = &BadLinesError{}
	}
	e.Bad++
	if len(e.Lines) < maxNamed {
		e.Lines = append(e.Lines, b)
	}
	return e
}

// What of a push was over its limit: the values of LimitError.What.
const (
	LimitDeltas = "deltas"
	LimitBytes  = "bytes"
	LimitLine   = "line"
)

// LimitError says that a push passes one of its Limits. The rest of the push was not read.
type LimitError struct {
	What  string // LimitDeltas, LimitBytes or LimitLine
	Limit int64
	Line  int // the line that passed it, from 1
}

// Error says which limit was passed, where, and what to do.
func (e *LimitError) Error() string {
	switch e.What {
	case LimitLine:
		return fmt.Sprintf("line %d has more than %d bytes; a delta is one line", e.Line, e.Limit)
	default:
		return fmt.Sprintf("line %d: more than %d %s in one push; split it", e.Line, e.Limit, e.What)
	}
}

// maxShown is how many bytes of somebody's input a message repeats.
const maxShown = 64

// quoted makes input fit for a message: quoted as in Go, so that it is printable UTF-8, and cut when long.
func quoted(input []byte) string {
	if len(input) <= maxShown {
		return strconv.Quote(string(input))
	}
	cut := maxShown
	for cut > maxShown-utf8.UTFMax && !utf8.RuneStart(input[cut]) {
		cut--
	}
	return strconv.Quote(string(input[:cut])) + "..."
}

// fieldName makes a name that is none of ours fit for BadLine.Field: quoted only where it must be.
func fieldName(input []byte) string {
	q := quoted(input)
	if len(input) > 0 && q == `"`+string(input)+`"` {
		return string(input)
	}
	return q
}
