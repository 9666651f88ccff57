package delta

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kept is a Row that outlives its line.
type kept struct {
	subject string
	record  cache.Record
}

// readAll reads a push and keeps its rows.
func readAll(push string, f Format, lim Limits) ([]kept, error) {
	var rows []kept
	n, err := Read(strings.NewReader(push), f, lim, func(r Row) { rows = append(rows, kept{string(r.Subject), r.Record}) })
	if n != len(rows) {
		panic(fmt.Sprintf("Read says %d rows and handed over %d", n, len(rows)))
	}
	return rows, err
}

func record(t *testing.T, s cache.Status, reason uint8, until string) cache.Record {
	t.Helper()
	var at time.Time
	if until != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, until); err != nil {
			t.Fatal(err)
		}
	}
	r, err := cache.NewRecord(s, reason, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFormatOf(t *testing.T) {
	for contentType, want := range map[string]Format{
		"application/x-ndjson": NDJSON, "application/json": NDJSON, "application/jsonl": NDJSON,
		"Application/X-NDJSON ; charset=utf-8": NDJSON, "text/csv": CSV, "text/csv; header=present": CSV,
		"": Sniffed, "application/octet-stream": Sniffed, "text/plain": Sniffed, "multipart/form-data; boundary=text/csv": Sniffed,
	} {
		if got := FormatOf(contentType); got != want {
			t.Errorf("FormatOf(%q) = %s, want %s", contentType, got, want)
		}
	}
}

// TestSniffed: a push whose Content-Type says nothing is read as what it begins like, also behind more blank lines than a
// buffer holds.
func TestSniffed(t *testing.T) {
	const json, csv = `{"subject":"a","status":"green"}`, "subject,status\na,green"
	want := []kept{{"a", record(t, cache.Green, 0, "")}}
	for _, before := range []string{"", "\ufeff", "\n", " \r\n\t", "\ufeff \r\n\t", "\r\r", strings.Repeat(" \n", 40_000)} {
		for text, f := range map[string]Format{json: NDJSON, csv: CSV} {
			if f == CSV && strings.TrimRight(before, " \t\r") != before {
				continue // blanks before a column's name are the column's
			}
			if got, err := readAll(before+text, Sniffed, DefaultLimits); err != nil || !slices.Equal(got, want) {
				t.Errorf("%.20q before %s: %v, %v", before, f, got, err)
			}
		}
	}
	for _, push := range []string{"", "\ufeff", " \n"} {
		if got, err := readAll(push, Sniffed, DefaultLimits); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v", push, got, err)
		}
	}
	for _, push := range []string{"[", "\"a", "\xef\xbb", "subject;status"} { // not JSON: the fault is a header's
		_, err := readAll(push, Sniffed, DefaultLimits)
		_, wantErr := readAll(push, CSV, DefaultLimits)
		if err == nil || err.Error() != wantErr.Error() {
			t.Errorf("%q: %v, want %v", push, err, wantErr)
		}
	}
}

func TestReadGood(t *testing.T) {
	id64 := strings.Repeat("é", 32)
	green := record(t, cache.Green, 0, "")
	red3 := record(t, cache.Red, 3, "2031-05-06T07:08:00Z")
	past := record(t, cache.Green, 0, "2020-01-01T00:00:00Z")
	for _, c := range []struct {
		name string
		f    Format
		push string
		want []kept
	}{
		{"json", NDJSON, `{"subject":"a","status":"red","until":"2031-05-06T07:08:09Z","reason":3}` + "\n", []kept{{"a", red3}}},
		{"json in any order, with blanks", NDJSON, " { \"reason\" : 3 , \"until\" : \"2031-05-06T07:08:09Z\",\t\"status\":\"red\", \"subject\":\"a\" } ", []kept{{"a", red3}}},
		{"json with zone and fraction", NDJSON, `{"subject":"a","status":"red","until":"2031-05-06T15:08:59.999+08:00","reason":3}`, []kept{{"a", red3}}},
		{"json removals", NDJSON, "{\"subject\":\"a\",\"remove\":true}\n{\"remove\":true,\"subject\":\"b\"}", []kept{{"a", cache.Removed}, {"b", cache.Removed}}},
		{"json remove false", NDJSON, `{"subject":"a","status":"green","remove":false}`, []kept{{"a", green}}},
		{"json escapes", NDJSON, `{"sub\u006aect":"\"\\\/\u00e9\uD83D\ude00x","status":"g\u0072een"}`, []kept{{"\"\\/é😀x", green}}},
		{"json reasons", NDJSON, "{\"subject\":\"a\",\"status\":\"green\",\"reason\":0}\n{\"subject\":\"a\",\"status\":\"green\",\"reason\":63}",
			[]kept{{"a", green}, {"a", record(t, cache.Green, 63, "")}}},
		{"mark, CRLF, blank lines, no end", NDJSON, "\ufeff\r\n{\"subject\":\"a\",\"status\":\"green\"}\r\n \t\r\n\n{\"subject\":\"b\",\"status\":\"green\"}\r", []kept{{"a", green}, {"b", green}}},
		{"64 bytes", NDJSON, `{"subject":"` + id64 + `","status":"green"}`, []kept{{id64, green}}},
		{"until long past", NDJSON, `{"subject":"a","status":"green","until":"1970-01-01T00:00:00Z"}`, []kept{{"a", past}}},
		{"until in the year 1, Go's zero time", NDJSON, `{"subject":"a","status":"green","until":"0001-01-01T00:00:00Z"}`, []kept{{"a", past}}},
		{"nothing", NDJSON, "", nil},
		{"only blank lines", NDJSON, "\ufeff\n\r\n", nil},
		{"csv", CSV, "subject,status,until,reason,remove\na,red,2031-05-06T07:08:09Z,3,\nb,green,,,\nc,,,,true\n", []kept{{"a", red3}, {"b", green}, {"c", cache.Removed}}},
		{"csv in another order", CSV, "reason,status,subject,until\n3,red,a,2031-05-06T07:08:00Z\n", []kept{{"a", red3}}},
		{"csv with two columns", CSV, "status,subject\ngreen,a\n", []kept{{"a", green}}},
		{"csv quoted", CSV, "\"subject\",\"status\"\n\"a,\"\"b\"\"\",\"green\"\n", []kept{{`a,"b"`, green}}},
		{"csv mark, CRLF, blank lines, no end", CSV, "\ufeff\"subject\",status\r\n\r\na,green\r\n\n  \nb,green", []kept{{"a", green}, {"b", green}}},
		{"csv remove words", CSV, "subject,status,remove\na,,true\na,,TRUE\na,,1\na,green,false\na,green,False\na,green,0\na,green,\n",
			[]kept{{"a", cache.Removed}, {"a", cache.Removed}, {"a", cache.Removed}, {"a", green}, {"a", green}, {"a", green}, {"a", green}}},
		{"csv 64 bytes", CSV, "subject,status\n" + id64 + ",green\n", []kept{{id64, green}}},
		{"csv blanks belong to the id", CSV, "subject,status\n a ,green\n", []kept{{" a ", green}}},
		{"csv header alone", CSV, "subject,status\n", nil},
		{"csv nothing", CSV, "\ufeff", nil},
	} {
		if got, err := readAll(c.push, c.f, DefaultLimits); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// TestReadWhatOthersWrite writes random pushes with Go's own encoders and reads them back.
func TestReadWhatOthersWrite(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var want []kept
		var objects, table bytes.Buffer
		sheet := csv.NewWriter(&table)
		sheet.UseCRLF = rng.IntN(2) == 0
		sheet.Write([]string{"until", "subject", "remove", "status", "reason"})
		for range 1 + rng.IntN(20) {
			id := randomID(rng)
			if rng.IntN(5) == 0 {
				want = append(want, kept{id, cache.Removed})
				json.NewEncoder(&objects).Encode(map[string]any{"subject": id, "remove": true})
				sheet.Write([]string{"", id, "true", "", ""})
				continue
			}
			s, reason := cache.Status(rng.IntN(4)), rng.IntN(64)
			zone := time.FixedZone("", rng.IntN(57)*1800-14*3600)
			until := time.Unix(rng.Int64N(2_500_000_000), 0).In(zone).Format(time.RFC3339)
			want = append(want, kept{id, record(t, s, uint8(reason), until)})
			json.NewEncoder(&objects).Encode(map[string]any{"subject": id, "status": s.String(), "reason": reason, "until": until})
			sheet.Write([]string{until, id, "", s.String(), strconv.Itoa(reason)})
		}
		sheet.Flush()
		for f, push := range map[Format]string{NDJSON: objects.String(), CSV: table.String()} {
			if got, err := readAll(push, f, DefaultLimits); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s\n%s\ngot  %v, %v\nwant %v", f, push, got, err, want)
			}
		}
	}
}

// randomID is 1 to 64 bytes of what encoders quote or escape.
func randomID(rng *rand.Rand) string {
	alphabet := []rune("ab1\"\\,;'{}:/<&> éß粤健😀\u2028\u00ad")
	id := ""
	for n := 1 + rng.IntN(cache.MaxSubject); ; {
		next := id + string(alphabet[rng.IntN(len(alphabet))])
		if id != "" && len(next) > n {
			return id
		}
		id = next
	}
}

func TestReadNamesTwentyAndCountsAll(t *testing.T) {
	push := "subject,status\na,green\n\nb,green\n" + strings.Repeat("a,blue\nc,green\n", 25)
	rows, err := readAll(push, CSV, DefaultLimits)
	var bad *BadLinesError
	if !errors.As(err, &bad) {
		t.Fatal(err)
	}
	if bad.Bad != 25 || len(bad.Lines) != 20 || bad.Lines[0].Line != 5 || bad.Lines[19].Line != 5+2*19 {
		t.Errorf("bad %d, %d named: %v", bad.Bad, len(bad.Lines), bad.Lines)
	}
	if len(rows) != 2 || rows[0].subject != "a" || rows[1].subject != "b" {
		t.Errorf("rows %v, want those before the first bad line", rows)
	}
	if want := `25 bad lines, the first: line 5: status: unknown status "blue"`; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%q, want %q", err, want)
	}
}

// TestReadFailure: a reader that breaks off is an error whatever was read before, and what is half a line is not judged.
func TestReadFailure(t *testing.T) {
	cause := errors.New("the cable was cut")
	for _, push := range []string{"subject,status\na,green\nb,gre", "subject,status\na,green\n", "subject,status\na,blue\nb,green\n", "", "sub"} {
		r := iotest.DataErrReader(&brokenReader{strings.NewReader(push), cause})
		_, err := Read(r, CSV, DefaultLimits, func(Row) {})
		want := fmt.Sprintf("line %d", strings.Count(push, "\n")+1)
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q at %s", push, err, cause, want)
		}
	}
}

// brokenReader reads from r and then fails with err.
type brokenReader struct {
	r   *strings.Reader
	err error
}

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.r.Len() == 0 {
		return 0, b.err
	}
	return b.r.Read(p)
}

// FuzzRead: nothing panics, and what Read says of its rows and bad lines adds up to the lines that there are.
func FuzzRead(f *testing.F) {
	f.Add(true, "subject,status,until,reason,remove\na,red,2031-05-06T07:08:09Z,3,\n\"b\"\"\",blue\n,,,,1\n\n")
	f.Add(false, "\ufeff{\"subject\":\"a\",\"status\":\"red\"}\r\n\n{\"subject\":\"\\u0061\",\"remove\":true}\nnull")
	f.Fuzz(func(t *testing.T, isCSV bool, push string) {
		format := NDJSON
		if isCSV {
			format = CSV
		}
		var numbers []int // of the lines that hold a delta, or should
		for i, line := range strings.Split(strings.TrimPrefix(push, "\ufeff"), "\n") {
			if strings.Trim(line, " \t\r") != "" {
				numbers = append(numbers, i+1)
			}
		}
		header := 0
		if isCSV && len(numbers) > 0 {
			header, numbers = numbers[0], numbers[1:]
		}
		lim := Limits{Deltas: len(numbers), Bytes: int64(len(push)), Line: len(push)}
		rows, err := readAll(push, format, lim)
		for _, r := range rows {
			if err := cache.CheckSubject([]byte(r.subject)); err != nil {
				t.Errorf("subject %q: %v", r.subject, err)
			}
		}
		again, err2 := readSlowly(push, format, lim)
		if !slices.Equal(rows, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("byte by byte: %v, %v; at once: %v, %v", again, err2, rows, err)
		}
		var bad *BadLinesError
		switch {
		case err == nil:
			if len(rows) != len(numbers) {
				t.Errorf("%d rows of %d lines", len(rows), len(numbers))
			}
		case !errors.As(err, &bad):
			t.Errorf("%v: neither limit was passed nor did the reader fail", err)
		case isCSV && bad.Lines[0].Line == header:
			if bad.Bad != 1 || len(rows) != 0 {
				t.Errorf("bad header, but %d bad lines and %d rows", bad.Bad, len(rows))
			}
		default:
			checkBadLines(t, bad, numbers, len(rows))
		}
	})
}

func readSlowly(push string, f Format, lim Limits) (rows []kept, err error) {
	_, err = Read(iotest.OneByteReader(strings.NewReader(push)), f, lim, func(r Row) {
		rows = append(rows, kept{string(r.Subject), r.Record})
	})
	return rows, err
}

func checkBadLines(t *testing.T, bad *BadLinesError, numbers []int, rows int) {
	if len(bad.Lines) != min(bad.Bad, 20) || bad.Bad > len(numbers)-rows {
		t.Errorf("%d named of %d bad lines, %d rows, %d lines", len(bad.Lines), bad.Bad, rows, len(numbers))
	}
	if numbers[rows] != bad.Lines[0].Line {
		t.Errorf("%d rows, but the first bad line is %d of %v", rows, bad.Lines[0].Line, numbers)
	}
	for i, b := range bad.Lines {
		if !slices.Contains(numbers, b.Line) || i > 0 && bad.Lines[i-1].Line >= b.Line {
			t.Errorf("bad line %d is none of %v, or out of order", b.Line, numbers)
		}
		if s := b.Field + b.Why; b.Why == "" || len(s) > 600 || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Errorf("not fit to be shown: %q", s)
		}
	}
}
