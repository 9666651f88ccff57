package edge

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// codeInJSON takes the code out of a line of JSON, a string or an object with the one member "code". The code is nil for a line that is
// neither, and for strings that are no code whatever their spelling. One with escapes is appended to buf, another one is a part of the
// line.
func codeInJSON(buf, line []byte) (grown, code []byte) {
	line = bytes.Trim(line, spaceInJSON)
	if len(line) > 0 && line[0] == '{' {
		line = memberCode(line)
	}
	n := len(line)
	if n < 2 || line[0] != '"' || line[n-1] != '"' {
		return buf, nil
	}
	line = line[1 : n-1]
	if bytes.IndexByte(line, '\\') >= 0 {
		grown, ok := unquote(buf, line)
		if !ok {
			return buf, nil
		}
		return grown, grown[len(buf):]
	}
	if bytes.IndexByte(line, '"') >= 0 {
		return buf, nil
	}
	return buf, line // control characters and bad UTF-8 are neither JSON nor a code
}

const spaceInJSON = " \t\r"

// memberCode is the value of an object's one member, "code", as it stands; nil if line is no such object.
func memberCode(line []byte) []byte {
	const name = `"code"`
	if line[len(line)-1] != '}' {
		return nil
	}
	member := bytes.Trim(line[1:max(1, len(line)-1)], spaceInJSON)
	if !bytes.HasPrefix(member, []byte(name)) {
		return nil
	}
	member = bytes.TrimLeft(member[len(name):], spaceInJSON)
	if len(member) == 0 || member[0] != ':' {
		return nil
	}
	return bytes.TrimLeft(member[1:], spaceInJSON)
}

// unquote appends what stands between the quotes of a JSON string to b. It reports false for what is no string, or longer than any code.
func unquote(b, text []byte) ([]byte, bool) {
	most := len(b) + maxCode
	for len(text) > 0 && len(b) <= most {
		switch c := text[0]; {
		case c == '"' || len(text) == 1 && c == '\\':
			return nil, false
		case c != '\\':
			b, text = append(b, c), text[1:]
		case text[1] == 'u':
			r, n := unquoteRune(text)
			if n == 0 {
				return nil, false
			}
			b, text = utf8.AppendRune(b, r), text[n:]
		case text[1] == '"' || text[1] == '\\' || text[1] == '/':
			b, text = append(b, text[1]), text[2:]
		default: // a control character, if anything
			return nil, false
		}
	}
	return b, len(text) == 0
}

// unquoteRune reads the \uXXXX that text begins with, two of them for a surrogate pair, and says how long it is; 0 if it is none.
func unquoteRune(text []byte) (r rune, n int) {
	r, ok := hex4(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := hex4(text[6:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// hex4 reads the \uXXXX that text begins with.
func hex4(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		d := unhex[c]
		if d > 15 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}
