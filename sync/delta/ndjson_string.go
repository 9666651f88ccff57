package delta

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads a string, whose opening quote comes next, and undoes its escapes in place.
func (j *jsonText) string() (text []byte, why string) {
	j.at++
	start := j.at
	for ; j.at < len(j.line); j.at++ {
		switch c := j.line[j.at]; {
		case c == '"':
			j.at++
			return j.line[start : j.at-1], ""
		case c == '\\':
			return j.escaped(start)
		case c < ' ':
			return nil, j.not("a printable character or an escape")
		}
	}
	return nil, j.not("a closing quote")
}

// escaped goes on with a string from its first backslash. The text never overtakes what is still to be read: an escape is
// longer than what it stands for.
func (j *jsonText) escaped(start int) (text []byte, why string) {
	text = j.line[start:j.at]
	for j.at < len(j.line) {
		c := j.line[j.at]
		switch {
		case c == '"':
			j.at++
			return text, ""
		case c < ' ':
			return nil, j.not("a printable character or an escape")
		case c == '\\':
			r := j.escape()
			if r < 0 {
				return nil, j.not("an escape that stands for a character")
			}
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, c)
			j.at++
		}
	}
	return nil, j.not("a closing quote")
}

// escape reads the escape that comes next and returns its character, or -1 in front of what is none.
func (j *jsonText) escape() rune {
	rest := j.line[j.at:]
	if len(rest) < 2 {
		return -1
	}
	size, r := 2, rune(-1)
	switch c := rest[1]; c {
	case '"', '\\', '/':
		r = rune(c)
	case 'b':
		r = '\b'
	case 'f':
		r = '\f'
	case 'n':
		r = '\n'
	case 'r':
		r = '\r'
	case 't':
		r = '\t'
	case 'u':
		size = len(`\u1234`)
		if r = unit(rest); utf16.IsSurrogate(r) {
			r = utf16.DecodeRune(r, unit(rest[size:]))
			size *= 2
			if r == utf8.RuneError {
				return -1
			}
		}
	}
	if r >= 0 {
		j.at += size
	}
	return r
}

// unit reads a \u escape of four hex digits, half a character or a whole one; -1 when there is none.
func unit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
