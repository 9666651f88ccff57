package delta

import (
	"errors"
	"strings"
	"testing"
)

func TestBadJSON(t *testing.T) {
	id65 := strings.Repeat("x", 65)
	for _, c := range []struct{ line, field, why string }{
		{`hello`, "", "is no JSON object"},
		{`"subject"`, "", "is no JSON object"},
		{`[{"subject":"a","status":"red"}]`, "", "is no JSON object"},
		{`null`, "", "is no JSON object"},
		{`{`, "", "is no JSON: the line ends where a name in quotes should stand"},
		{`{}`, "subject", "missing"},
		{`{"status":"red"}`, "subject", "missing"},
		{`{"subject":"a"}`, "status", "missing"},
		{`{"subject":"a","remove":false}`, "status", "missing"},
		{`{"subject":"a","reason":3}`, "status", "missing"},
		{`{"subject":"","status":"red"}`, "subject", "empty"},
		{`{"subject":"` + id65 + `","status":"red"}`, "subject", "65 bytes; at most 64"},
		{`{"subject":"a\u0009b","status":"red"}`, "subject", "control characters"},
		{"{\"subject\":\"a\x7f\",\"status\":\"red\"}", "subject", "control characters"},
		{"{\"subject\":\"a\xff\",\"status\":\"red\"}", "subject", "UTF-8"},
		{"{\"subject\":\"a\tb\",\"status\":\"red\"}", "subject", `is no JSON: '\t' at byte 14, where a printable character or an escape should stand`},
		{"{\"subject\":\"\\\"\tb\",\"status\":\"red\"}", "subject", `is no JSON: '\t' at byte 15`},
		{`{"subject":"a","status":"blue"}`, "status", `unknown status "blue"`},
		{`{"subject":"a","status":"Red"}`, "status", `unknown status "Red"`},
		{`{"subject":"a","status":""}`, "status", `unknown status ""`},
		{`{"subject":"a","status":"lapsed"}`, "status", "lapsed is read, never pushed; push an until in the past"},
		{`{"subject":"a","status":"` + id65 + `"}`, "status", `unknown status "` + id65[:64] + `"...`},
		{`{"subject":"a","status":"red","until":"tomorrow"}`, "until", `"tomorrow" is no RFC 3339 time`},
		{`{"subject":"a","status":"red","until":""}`, "until", `"" is no RFC 3339 time`},
		{`{"subject":"a","status":"red","until":"2031-02-29T00:00:00Z"}`, "until", "is no RFC 3339 time"},
		{`{"subject":"a","status":"red","until":"2031-02-28T24:00:00Z"}`, "until", "is no RFC 3339 time"},
		{`{"subject":"a","status":"red","until":"2031-02-28T1:00:00Z"}`, "until", "is no RFC 3339 time"},
		{`{"subject":"a","status":"red","until":"2031-02-28T01:00:00,5Z"}`, "until", "is no RFC 3339 time"},
		{`{"subject":"a","status":"red","until":"2031-02-28T01:00:00+24:00"}`, "until", "is no RFC 3339 time"},
		{`{"subject":"a","status":"red","until":"2031-02-28T01:00:00+08:60"}`, "until", "is no RFC 3339 time"},
		{`{"subject":"a","status":"red","until":"2031-02-28"}`, "until", "is no RFC 3339 time"},
		{`{"subject":"a","status":"red","until":"2052-01-01T00:00:00Z"}`, "until", "too far; at most 2051-"},
		{`{"subject":"a","status":"red","until":1893456000}`, "until", "is a number; must be a string"},
		{`{"subject":"a","status":"red","until":null}`, "until", "is null; must be a string"},
		{`{"subject":null,"status":"red"}`, "subject", "is null; must be a string"},
		{`{"subject":true,"status":"red"}`, "subject", "is a boolean; must be a string"},
		{`{"subject":7,"status":"red"}`, "subject", "is a number; must be a string"},
		{`{"subject":["a"],"status":"red"}`, "subject", "is an array; must be a string"},
		{`{"subject":{"id":"a"},"status":"red"}`, "subject", "is an object; must be a string"},
		{`{"subject":a,"status":"red"}`, "subject", `is no JSON: 'a' at byte 12, where a value should stand`},
		{`{"subject":é,"status":"red"}`, "subject", `is no JSON: 'é' at byte 12, where a value should stand`},
		{`{"subject":`, "subject", "is no JSON: the line ends where a value should stand"},
		{`{"subject":"a","status":"red","reason":64}`, "reason", `"64" is no integer from 0 to 63`},
		{`{"subject":"a","status":"red","reason":300}`, "reason", `"300" is no integer from 0 to 63`},
		{`{"subject":"a","status":"red","reason":-1}`, "reason", `"-1" is no integer`},
		{`{"subject":"a","status":"red","reason":1.5}`, "reason", `"1.5" is no integer`},
		{`{"subject":"a","status":"red","reason":1E-1}`, "reason", `"1E-1" is no integer`},
		{`{"subject":"a","status":"red","reason":1e+1}`, "reason", `"1e+1" is no integer`},
		{`{"subject":"a","status":"red","reason":01}`, "reason", `"01" is no integer`},
		{`{"subject":"a","status":"red","reason":"3"}`, "reason", "is a string; must be a number"},
		{`{"subject":"a","status":"red","reason":null}`, "reason", "is null; must be a number"},
		{`{"subject":"a","status":"red","remove":null}`, "remove", "is null; must be a boolean"},
		{`{"subject":"a","remove":"true"}`, "remove", "is a string; must be a boolean"},
		{`{"subject":"a","remove":1}`, "remove", "is a number; must be a boolean"},
		{`{"subject":"a","remove":tru}`, "remove", "where a value should stand"},
		{`{"subject":"a","remove":trueish}`, "", "where a comma or the closing brace should stand"},
		{`{"subject":"a","status":"red","remove":true}`, "status", "a removal carries nothing but its subject"},
		{`{"subject":"a","until":"2031-02-28T00:00:00Z","remove":true}`, "until", "a removal carries nothing but its subject"},
		{`{"reason":0,"subject":"a","remove":true}`, "reason", "a removal carries nothing but its subject"},
		{`{"remove":true}`, "subject", "missing"},
		{`{"subject":"a","status":"red","colour":"blue"}`, "colour", "unknown field"},
		{`{"Subject":"a","status":"red"}`, "Subject", "unknown field"},
		{`{"":"a"}`, `""`, "unknown field"},
		{`{"\b\f\n\r\t\/\"\\":"a"}`, `"\b\f\n\r\t/\"\\"`, "unknown field"},
		{`{"` + id65 + `xx":"a"}`, `"` + id65[:64] + `"...`, "unknown field"},
		{`{"` + id65[:62] + `粤":"a"}`, `"` + id65[:62] + `"...`, "unknown field"},
		{`{"subject":"a","subject":"a","status":"red"}`, "subject", "given twice"},
		{`{"subject":"a","status":"red"}x`, "", `is no JSON: 'x' at byte 31, where the end of the line should stand`},
		{`{"subject":"a","status":"red"}{}`, "", "where the end of the line should stand"},
		{`{"subject":"a","status":"red"`, "", "the line ends where a comma or the closing brace should stand"},
		{`{"subject":"a" "status":"red"}`, "", `'"' at byte 16, where a comma or the closing brace should stand`},
		{`{"subject":"a","status":"red",}`, "", "where a name in quotes should stand"},
		{`{,"subject":"a","status":"red"}`, "", "where a name in quotes should stand"},
		{`{subject:"a","status":"red"}`, "", "where a name in quotes should stand"},
		{`{"subject" "a","status":"red"}`, "subject", "where a colon should stand"},
		{`{"subject`, "", "the line ends where a closing quote should stand"},
		{`{"subject":"a\n`, "subject", "the line ends where a closing quote should stand"},
		{`{"subject":"\x61","status":"red"}`, "subject", `is no JSON: '\\' at byte 13, where an escape that stands for a character should stand`},
		{`{"subject":"\u00g1","status":"red"}`, "subject", "where an escape"},
		{`{"subject":"\ud83d","status":"red"}`, "subject", "where an escape"},
		{`{"subject":"\ud83dx\ude00","status":"red"}`, "subject", "where an escape"},
		{`{"subject":"\ude00\ud83d","status":"red"}`, "subject", "where an escape"},
		{`{"subject":"\u12`, "subject", "where an escape"},
		{`{"subject":"\`, "subject", "where an escape"},
	} {
		wantBad(t, NDJSON, c.line, BadLine{1, c.field, c.why})
	}
}

func TestBadCSV(t *testing.T) {
	id65 := strings.Repeat("x", 65)
	const header = "subject,status,until,reason,remove"
	for _, c := range []struct{ line, field, why string }{
		{`a`, "", "1 fields under a header of 5"},
		{`a,red,,`, "", "4 fields under a header of 5"},
		{`a,red,,,,`, "", "6 fields under a header of 5"},
		{`a,red,,,,,,,,`, "", "10 fields under a header of 5"},
		{`,red,,,`, "subject", "empty"},
		{id65 + `,red,,,`, "subject", "65 bytes; at most 64"},
		{"a\tb,red,,,", "subject", "control characters"},
		{"a\xff,red,,,", "subject", "UTF-8"},
		{"a\rb,red,,,", "subject", "control characters"},
		{`a,,,,`, "status", "missing"},
		{`a,,,,false`, "status", "missing"},
		{`a, red,,,`, "status", `unknown status " red"`},
		{`a,blue,,,`, "status", `unknown status "blue"`},
		{`a,lapsed,,,`, "status", "lapsed is read, never pushed"},
		{`a,red,soon,,`, "until", `"soon" is no RFC 3339 time such as`},
		{`a,red,2060-01-01T00:00:00Z,,`, "until", "too far; at most 2051-"},
		{`a,red,,64,`, "reason", `"64" is no integer from 0 to 63`},
		{`a,red,,07,`, "reason", `"07" is no integer from 0 to 63`},
		{`a,red,,+7,`, "reason", `"+7" is no integer from 0 to 63`},
		{`a,red,,,yes`, "remove", `"yes" is neither true nor false`},
		{`a,red,,,true`, "status", "a removal carries nothing but its subject"},
		{`a,,2031-02-28T00:00:00Z,,true`, "until", "a removal carries nothing but its subject"},
		{`a,,,0,1`, "reason", "a removal carries nothing but its subject"},
		{`a"b,red,,,`, "subject", "a quote within an unquoted field"},
		{`a,red",,,`, "status", "a quote within an unquoted field"},
		{`"a,red,,,`, "subject", "a quote that is not closed on its line"},
		{`a,red,"`, "until", "a quote that is not closed on its line"},
		{`"a"b,red,,,`, "subject", "text after a closing quote"},
		{`"a" ,red,,,`, "subject", "text after a closing quote"},
		{`a,red,,,,"`, "", "a quote that is not closed on its line"},
	} {
		wantBad(t, CSV, header+"\n"+c.line, BadLine{2, c.field, c.why})
	}
}

func TestBadHeader(t *testing.T) {
	for _, c := range []struct{ header, field, why string }{
		{"subject,colour", "colour", "unknown column"},
		{"subject,status,until,reason,remove,", `""`, "unknown column"},
		{"Subject,status", "Subject", "unknown column"},
		{"subject, status", " status", "unknown column"},
		{"subject;status", "subject;status", "unknown column"},
		{"d1,red", "d1", "unknown column; the first line is a header such as subject,status"},
		{"subject,status,subject", "subject", "given twice"},
		{"subject,status,until,reason,remove,remove", "remove", "given twice"},
		{"subject,until", "status", "missing column"},
		{"subject,remove", "status", "missing column"},
		{"status", "subject", "missing column"},
		{`"subject,status`, "", "a quote that is not closed on its line"},
		{`{"subject":"a"}`, "", "a quote within an unquoted field"},
		{"s\x00u\x00b", `"s\x00u\x00b"`, "unknown column"},
	} {
		// The bad line that follows is not reached.
		wantBad(t, CSV, "\r\n"+c.header+"\r\na,b,c,d,e,f,g\r\n", BadLine{2, c.field, c.why})
	}
}

// wantBad checks that a push has one bad line, want, whose Why begins with or contains want.Why, and no rows.
func wantBad(t *testing.T, f Format, push string, want BadLine) {
	t.Helper()
	rows, err := readAll(push, f, DefaultLimits)
	var bad *BadLinesError
	if !errors.As(err, &bad) || bad.Bad != 1 || len(bad.Lines) != 1 || len(rows) != 0 {
		t.Errorf("%q: rows %v, error %v; want one bad line and no rows", push, rows, err)
		return
	}
	if got := bad.Lines[0]; got.Line != want.Line || got.Field != want.Field || !strings.Contains(got.Why, want.Why) {
		t.Errorf("%q:\n got %q\nwant %q", push, got, want)
	}
	if err.Error() != bad.Lines[0].String() {
		t.Errorf("the error of one bad line is %q, its string %q", err, bad.Lines[0])
	}
}
