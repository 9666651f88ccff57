package delta

import (
	"bytes"
	"fmt"
)

// header is a CSV file's first line: the field of each of its columns.
type header struct {
	columns [fields]field
	n       int
}

func parseHeader(line []byte) (h header, name, why string) {
	var columns [fields + 1][]byte // one more than there are fields: among so many one is unknown or twice
	n, why := split(line, columns[:])
	if why != "" {
		return h, "", why
	}
	var seen [fields]bool
	for _, column := range columns[:min(n, len(columns))] {
		f, known := fieldOf(column)
		switch {
		case !known:
			return h, fieldName(column), "unknown column; the first line is a header such as subject,status"
		case seen[f]:
			return h, fieldNames[f], "given twice"
		}
		seen[f] = true
		h.columns[h.n] = f
		h.n++
	}
	for f := subject; f <= status; f++ {
		if !seen[f] {
			return h, fieldNames[f], "missing column"
		}
	}
	return h, "", ""
}

// parse reads a line under the header. It changes the line in place: quoted fields are undone.
func (h *header) parse(line []byte) (row Row, name, why string) {
	var columns [fields][]byte
	n, why := split(line, columns[:])
	if why != "" {
		if n < h.n {
			name = fieldNames[h.columns[n]]
		}
		return Row{}, name, why
	}
	if n != h.n {
		return Row{}, "", fmt.Sprintf("%d fields under a header of %d", n, h.n)
	}
	var d draft
	for i, f := range h.columns[:h.n] {
		if len(columns[i]) == 0 && f != subject {
			continue
		}
		if why := d.set(f, columns[i]); why != "" {
			return Row{}, fieldNames[f], why
		}
	}
	return d.row()
}

// split cuts a line at its commas into columns, as far as they reach, and returns how many fields there are, or before which
// it stopped and why.
func split(line []byte, columns [][]byte) (n int, why string) {
	for more := true; more; n++ {
		var column []byte
		if len(line) > 0 && line[0] == '"' {
			column, line, more, why = cutQuoted(line)
		} else {
			column, line, more, why = cutPlain(line)
		}
		if why != "" {
			return n, why
		}
		if n < len(columns) {
			columns[n] = column
		}
	}
	return n, ""
}

// cutPlain cuts off the unquoted field with which line begins.
func cutPlain(line []byte) (column, rest []byte, more bool, why string) {
	for i, c := range line {
		switch c {
		case ',':
			return line[:i], line[i+1:], true, ""
		case '"':
			return nil, nil, false, "a quote within an unquoted field; quote the field and double its quotes"
		}
	}
	return line, nil, false, ""
}

// cutQuoted cuts off the quoted field with which line begins, and undoes its doubled quotes in place.
func cutQuoted(line []byte) (column, rest []byte, more bool, why string) {
	rest = line[1:]
	column = rest[:0]
	for {
		i := bytes.IndexByte(rest, '"')
		if i < 0 {
			return nil, nil, false, "a quote that is not closed on its line"
		}
		column = append(column, rest[:i]...)
		rest = rest[i+1:]
		switch {
		case len(rest) == 0:
			return column, rest, false, ""
		case rest[0] == ',':
			return column, rest[1:], true, ""
		case rest[0] != '"':
			return nil, nil, false, "text after a closing quote; quotes within a field are doubled"
		}
		column = append(column, '"')
		rest = rest[1:]
	}
}
