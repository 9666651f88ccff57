package delta

import (
	"fmt"
	"unicode/utf8"
)

// jsonText is a line of NDJSON while it is read. A delta is a flat object, so what would need a deeper parser is a fault by
// itself. It takes what RFC 8259 takes, but escapes of half a surrogate pair, which stand for no character.
type jsonText struct {
	line []byte
	at   int // of the byte that comes next
}

// jsonType is the type of a JSON value, told by its first byte.
type jsonType string

const (
	jsonString jsonType = "a string"
	jsonNumber jsonType = "a number"
	jsonBool   jsonType = "a boolean"
)

var jsonTypes = [fields]jsonType{jsonString, jsonString, jsonString, jsonNumber, jsonBool}

// parseJSON reads a line. It changes the line in place: escapes are undone.
func parseJSON(line []byte) (row Row, name, why string) {
	if row, ok := quickJSON(line); ok {
		return row, "", ""
	}
	return strictJSON(line)
}

// strictJSON reads any line, and names the fault of a bad one.
func strictJSON(line []byte) (row Row, name, why string) {
	j := jsonText{line: line}
	if !j.take('{') {
		return Row{}, "", "is no JSON object"
	}
	var d draft
	for more := !j.take('}'); more; {
		if name, why = j.member(&d); why != "" {
			return Row{}, name, why
		}
		if more = j.take(','); !more && !j.take('}') {
			return Row{}, "", j.not("a comma or the closing brace")
		}
	}
	if j.space(); j.at < len(line) {
		return Row{}, "", j.not("the end of the line")
	}
	return d.row()
}

// member reads one "name":value into d, or names the field at fault.
func (j *jsonText) member(d *draft) (name, why string) {
	if j.space(); j.peek() != '"' {
		return "", j.not("a name in quotes")
	}
	text, why := j.string()
	if why != "" {
		return "", why
	}
	if !j.take(':') {
		return fieldName(text), j.not("a colon")
	}
	f, known := fieldOf(text)
	switch {
	case !known:
		return fieldName(text), "unknown field"
	case d.has(f):
		return fieldNames[f], "given twice"
	}
	if text, why = j.value(jsonTypes[f]); why == "" {
		why = d.set(f, text)
	}
	return fieldNames[f], why
}

// value reads a value that has to be of type want and returns its text: a string's content, or a literal as it stands.
func (j *jsonText) value(want jsonType) (text []byte, why string) {
	j.space()
	start := j.at
	var have jsonType
	switch c := j.peek(); {
	case c == '"':
		have = jsonString
	case c == '-' || '0' <= c && c <= '9':
		have = jsonNumber
	case c == '[':
		have = "an array"
	case c == '{':
		have = "an object"
	case j.word("true") || j.word("false"):
		have = jsonBool
	case j.word("null"):
		have = "null"
	default:
		return nil, j.not("a value")
	}
	switch {
	case have != want:
		return nil, fmt.Sprintf("is %s; must be %s", have, want)
	case have == jsonString:
		return j.string()
	case have == jsonNumber:
		j.number()
	}
	return j.line[start:j.at], ""
}

// number passes over what may be part of a number; whether it is one is for its field to say.
func (j *jsonText) number() {
	for j.at < len(j.line) {
		switch c := j.line[j.at]; {
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			j.at++
		default:
			return
		}
	}
}

// word passes over w if it comes next.
func (j *jsonText) word(w string) bool {
	if rest := j.line[j.at:]; len(rest) < len(w) || string(rest[:len(w)]) != w {
		return false
	}
	j.at += len(w)
	return true
}

// take passes over blanks, and over c if it comes then.
func (j *jsonText) take(c byte) bool {
	if j.space(); j.peek() != c {
		return false
	}
	j.at++
	return true
}

func (j *jsonText) space() {
	for j.at < len(j.line) && isSpace(j.line[j.at]) {
		j.at++
	}
}

// peek returns the byte that comes next, or 0, which nowhere may, at the end.
func (j *jsonText) peek() byte {
	if j.at < len(j.line) {
		return j.line[j.at]
	}
	return 0
}

// not is the fault of a line that goes on with something else than what it should.
func (j *jsonText) not(want string) string {
	if j.at >= len(j.line) {
		return fmt.Sprintf("is no JSON: the line ends where %s should stand", want)
	}
	r, _ := utf8.DecodeRune(j.line[j.at:])
	return fmt.Sprintf("is no JSON: %q at byte %d, where %s should stand", r, j.at+1, want)
}
