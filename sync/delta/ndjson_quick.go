package delta

import "github.com/scanedge/scanedge/cache"

// quickJSON reads a line as encoders write it: no blank but one after a colon or a comma, the id in ASCII, nothing escaped, the
// time in UTC to the second. It is ok with good lines alone and gives what strictJSON gives; all others, good or bad, it leaves
// to that, as they were.
func quickJSON(line []byte) (row Row, ok bool) {
	if len(line) == 0 || line[0] != '{' {
		return Row{}, false
	}
	var d draft
	for rest := line[1:]; ; rest = skipBlank(rest[1:]) {
		if rest = d.quick(rest); len(rest) == 0 {
			return Row{}, false
		}
		if rest[0] == '}' && len(rest) == 1 {
			row, _, why := d.row()
			return row, why == ""
		}
		if rest[0] != ',' {
			return Row{}, false
		}
	}
}

// quick reads one "name":value of a name that d does not have yet, and returns what follows; nothing when it is no such.
func (d *draft) quick(text []byte) (rest []byte) {
	if len(text) < 8 {
		return nil
	}
	var f field
	rest = text[8:]
	switch string(text[:8]) { // a word of the processor's each
	case `"subject`:
		f, rest = subject, d.quickSubject(value(rest, `":`))
	case `"status"`:
		f, rest = status, d.quickStatus(value(rest, `:`))
	case `"until":`:
		f, rest = until, d.quickUntil(value(rest, ``))
	case `"reason"`:
		f, rest = reason, d.quickReason(value(rest, `:`))
	case `"remove"`:
		f, rest = remove, d.quickRemove(value(rest, `:`))
	default:
		return nil
	}
	if d.has(f) {
		return nil
	}
	d.given |= 1 << f
	return rest
}

// value passes over what ends a name, and a blank.
func value(text []byte, end string) []byte {
	if !begins(text, end) {
		return nil
	}
	return skipBlank(text[len(end):])
}

func (d *draft) quickSubject(text []byte) (rest []byte) {
	if !begins(text, `"`) {
		return nil
	}
	text = text[1:]
	n := 0
	for n < len(text) && asItIs[text[n]] {
		n++
	}
	if n == 0 || n > cache.MaxSubject || n == len(text) || text[n] != '"' {
		return nil
	}
	d.subject = text[:n]
	return text[n+1:]
}

// asItIs tells the bytes of ASCII that may stand in a subject, and stand for themselves in a string.
var asItIs = func() (is [256]bool) {
	for c := ' '; c <= '~'; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

func (d *draft) quickStatus(text []byte) (rest []byte) {
	switch {
	case begins(text, `"red"`):
		d.status = cache.Red
		return text[len(`"red"`):]
	case begins(text, `"green"`):
		d.status = cache.Green
		return text[len(`"green"`):]
	case begins(text, `"yellow"`):
		d.status = cache.Yellow
		return text[len(`"yellow"`):]
	case begins(text, `"void"`):
		d.status = cache.Void
		return text[len(`"void"`):]
	}
	return nil
}

func (d *draft) quickUntil(text []byte) (rest []byte) {
	const size = len(`"2026-01-31T23:59:59Z"`)
	if len(text) < size || text[0] != '"' || text[size-1] != '"' {
		return nil
	}
	var ok bool
	if d.until, ok = parseUTC(text[1 : size-1]); !ok {
		return nil
	}
	return text[size:]
}

func (d *draft) quickReason(text []byte) (rest []byte) {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	var ok bool
	if d.reason, ok = parseReason(text[:n]); !ok {
		return nil
	}
	return text[n:]
}

func (d *draft) quickRemove(text []byte) (rest []byte) {
	if d.remove = begins(text, "true"); !d.remove {
		return nil
	}
	return text[len("true"):]
}

// begins is bytes.HasPrefix, which a compiler makes a comparison of words when the prefix is short and constant.
func begins(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

func skipBlank(text []byte) []byte {
	if len(text) > 0 && text[0] == ' ' {
		return text[1:]
	}
	return text
}
