package delta

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// quickLines are as encoders of several languages write them: the good ones must not need the strict parser.
var quickLines = []string{
	`{"subject":"d000000001","status":"red","until":"2027-01-31T12:00:00Z","reason":5}`,
	`{"subject":"d000000001","status":"green"}`,
	`{"subject":"d1","status":"yellow","reason":63}`,
	`{"subject":"a b/c//..:d?%41#'~","status":"void","until":"2020-02-29T00:00:00Z"}`,
	`{"subject":"x","remove":true}`,
	`{"remove":true,"subject":"` + strings.Repeat("x", 64) + `"}`,
	`{"subject": "d1", "status": "red", "until": "2051-11-01T23:59:59Z", "reason": 0}`,
	`{"reason": 10, "until": "2001-12-31T00:00:00Z", "status": "green", "subject": "d1"}`,
	`{"until":"2096-02-29T00:00:00Z","subject":"d1","status":"red","reason":1}`, // too far: the strict parser says so
}

func TestQuickLinesAreQuick(t *testing.T) {
	for _, line := range quickLines {
		_, ok := quickJSON([]byte(line))
		_, _, why := strictJSON([]byte(line))
		if ok != (why == "") {
			t.Errorf("%s: quick %v, but the strict parser says %q", line, ok, why)
		}
	}
}

// checkQuick holds quickJSON to strictJSON: what it takes is what that takes, and it changes nothing.
func checkQuick(t *testing.T, line []byte) {
	t.Helper()
	before := bytes.Clone(line)
	row, ok := quickJSON(line)
	if !bytes.Equal(line, before) {
		t.Fatalf("%q became %q", before, line)
	}
	if !ok {
		return
	}
	subject := string(row.Subject)
	strict, name, why := strictJSON(line)
	if why != "" || string(strict.Subject) != subject || strict.Record != row.Record {
		t.Fatalf("%q: quick %q %v, strict %q %v, %s: %s", before, subject, row.Record, strict.Subject, strict.Record, name, why)
	}
}

// TestQuickAgreesNearby puts every byte at every place of a good line, for the one there and before it, cuts the line at every
// place, and takes out all that is from one place to another.
func TestQuickAgreesNearby(t *testing.T) {
	for _, line := range quickLines {
		for i := range len(line) + 1 {
			checkQuick(t, []byte(line[:i]))
			for c := range 256 {
				checkQuick(t, []byte(line[:i]+string([]byte{byte(c)})+line[i:]))
				if i < len(line) {
					checkQuick(t, []byte(line[:i]+string([]byte{byte(c)})+line[i+1:]))
				}
			}
			for j := i + 1; j <= len(line); j++ {
				checkQuick(t, []byte(line[:i]+line[j:]))
				checkQuick(t, []byte(line[:j]+line[i:])) // given twice
			}
		}
	}
}

func FuzzQuick(f *testing.F) {
	for _, line := range quickLines {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) { checkQuick(t, line) })
}

// TestUTCAgrees tries every day of more than a century, every two digits in each place, and what is not quite the form.
func TestUTCAgrees(t *testing.T) {
	var read int
	check := func(text string) {
		t.Helper()
		got, ok := parseUTC([]byte(text))
		want, wantOK := parseRFC3339([]byte(text))
		if ok && (!wantOK || got != want) {
			t.Fatalf("%q: %v, want %v, %v", text, got, want, wantOK)
		}
		if common := len(text) == 20 && strings.HasPrefix(text, "20") && text[19] == 'Z'; common && wantOK && !ok {
			t.Fatalf("%q is left to the slow parser", text)
		}
		if ok {
			read++
		}
	}
	for day := time.Date(1995, 1, 1, 12, 34, 56, 0, time.UTC); day.Year() < 2105; day = day.AddDate(0, 0, 1) {
		check(day.Format(time.RFC3339))
	}
	const form = "2024-02-29T23:59:59Z"
	for _, at := range []int{0, 2, 5, 8, 11, 14, 17} {
		for n := range 100 {
			check(form[:at] + fmt.Sprintf("%02d", n) + form[at+2:])
		}
	}
	for year := 2000; year < 2100; year++ {
		for month := range 14 {
			for day := range 33 {
				check(fmt.Sprintf("%d-%02d-%02dT00:00:00Z", year, month, day))
			}
		}
	}
	for i := range len(form) {
		check(form[:i])
		for c := range 256 {
			check(form[:i] + string([]byte{byte(c)}) + form[i+1:])
			check(form[:i] + string([]byte{byte(c)}) + form[i:])
		}
	}
	if read < 100*365 {
		t.Errorf("only %d times were read", read)
	}
}
