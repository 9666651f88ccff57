package delta

import (
	"bytes"
	"fmt"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// field is a member of an NDJSON object or a column of a CSV file.
type field uint8

const (
	subject field = iota
	status
	until
	reason
	remove
	fields // how many
)

var fieldNames = [fields]string{"subject", "status", "until", "reason", "remove"}

// fieldOf finds a field by its exact name.
func fieldOf(name []byte) (field, bool) {
	for f, n := range fieldNames {
		if string(name) == n {
			return field(f), true
		}
	}
	return 0, false
}

// draft is a delta while its fields come in.
type draft struct {
	subject []byte
	status  cache.Status
	reason  uint8
	remove  bool
	until   time.Time
	given   uint8 // a bit for each field
}

func (d *draft) has(f field) bool { return d.given>>f&1 != 0 }

// set takes the text of a field and says why it can't be, or "".
func (d *draft) set(f field, text []byte) (why string) {
	d.given |= 1 << f
	var ok bool
	switch f {
	case subject:
		if err := cache.CheckSubject(text); err != nil {
			return err.Error()
		}
		d.subject = text
	case status:
		if d.status, ok = cache.ParseStatus(text); !ok {
			return noStatus(text)
		}
	case until:
		if d.until, ok = parseTime(text); !ok {
			return fmt.Sprintf("%s is no RFC 3339 time such as 2026-01-31T23:59:59Z", quoted(text))
		}
	case reason:
		if d.reason, ok = parseReason(text); !ok {
			return fmt.Sprintf("%s is no integer from 0 to %d", quoted(text), cache.MaxReason)
		}
	case remove:
		if d.remove, ok = parseBool(text); !ok {
			return fmt.Sprintf("%s is neither true nor false", quoted(text))
		}
	}
	return ""
}

// row makes the delta of what was set, or names the field at fault.
func (d *draft) row() (row Row, name, why string) {
	if !d.has(subject) {
		return Row{}, fieldNames[subject], "missing"
	}
	if d.remove {
		for f := status; f < remove; f++ {
			if d.has(f) {
				return Row{}, fieldNames[f], "a removal carries nothing but its subject"
			}
		}
		return Row{d.subject, cache.Removed}, "", ""
	}
	if !d.has(status) {
		return Row{}, fieldNames[status], "missing"
	}
	record, err := cache.NewRecord(d.status, d.reason, d.until)
	if err != nil {
		return Row{}, fieldNames[until], err.Error() // the reason is in its range, so it is the time
	}
	return Row{d.subject, record}, "", ""
}

func noStatus(word []byte) string {
	if string(word) == cache.Lapsed {
		return "lapsed is read, never pushed; push an until in the past"
	}
	return fmt.Sprintf("unknown status %s; must be green, yellow, red or void", quoted(word))
}

// parseTime reads an RFC 3339 time.
func parseTime(text []byte) (t time.Time, ok bool) {
	if t, ok = parseUTC(text); ok {
		return t, true
	}
	return parseRFC3339(text)
}

// parseRFC3339 reads any RFC 3339 time. Go's parser alone would also take an hour of one digit, a comma before the fraction and a
// zone of +24:60. The zero time would mean "without end" in a record, the opposite of what it says: the year 1 lapsed.
func parseRFC3339(text []byte) (t time.Time, ok bool) {
	const hour, dot = len("2026-01-31T23"), len("2026-01-31T23:59:59")
	if t.UnmarshalText(text) != nil || text[hour] != ':' || text[dot] == ',' {
		return t, false
	}
	if zone := text[len(text)-len("+08:00"):]; text[len(text)-1] != 'Z' && (string(zone[1:3]) > "23" || zone[4] > '5') {
		return t, false
	}
	if t.IsZero() {
		t = t.Add(time.Second)
	}
	return t, true
}

// daysBefore is how many days of a year that is no leap year come before each month; a thirteenth ends the last.
var daysBefore = [...]int{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365}

// parseUTC reads a time of the years 2000 to 2099 as encoders write it, 2026-01-31T23:59:59Z, several times as fast. In these
// years each fourth is a leap year.
func parseUTC(text []byte) (t time.Time, ok bool) {
	if len(text) != len("2026-01-31T23:59:59Z") || text[0] != '2' || text[1] != '0' || text[4] != '-' || text[7] != '-' ||
		text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z' {
		return t, false
	}
	year, month, day := pair(text[2:]), pair(text[5:]), pair(text[8:])
	hour, minute, second := pair(text[11:]), pair(text[14:]), pair(text[17:])
	if year > 99 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	start, end := daysBefore[month-1], daysBefore[month]
	if leap := year%4 == 0; leap && month == 2 {
		end++
	} else if leap && month > 2 {
		start, end = start+1, end+1
	}
	if day < 1 || day > end-start {
		return t, false
	}
	const y2000 = 946684800
	days := year*365 + (year+3)/4 + start + day - 1
	return time.Unix(y2000+int64(((days*24+hour)*60+minute)*60+second), 0).UTC(), true
}

// pair reads two digits, or a number over 99 when they are none.
func pair(text []byte) int {
	tens, ones := text[0]-'0', text[1]-'0'
	if tens > 9 || ones > 9 {
		return 100
	}
	return int(tens)*10 + int(ones)
}

// parseReason reads 0 to 63, without sign or leading zeros.
func parseReason(text []byte) (n uint8, ok bool) {
	if len(text) == 0 || len(text) > 2 || len(text) == 2 && text[0] == '0' {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + c - '0'
	}
	return n, n <= cache.MaxReason
}

// parseBool reads true or 1, false or 0, in any case: spreadsheets write TRUE.
func parseBool(text []byte) (yes, ok bool) {
	yes = string(text) == "1" || bytes.EqualFold(text, []byte("true"))
	return yes, yes || string(text) == "0" || bytes.EqualFold(text, []byte("false"))
}
