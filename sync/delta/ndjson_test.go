package delta

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/scanedge/scanedge/cache"
)

var (
	rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	integer = regexp.MustCompile(`^(0|[1-9]\d?)$`)
	errBad  = errors.New("is no delta")
)

// model reads a line of NDJSON the slow way: a strict JSON library, a map, and the rules of a delta one by one.
func model(line []byte) (kept, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(line)) // refuses invalid UTF-8 and names that stand twice
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return kept{}, errBad
	}
	members := map[string]string{}
	kinds := map[string]jsontext.Kind{"subject": '"', "status": '"', "until": '"', "reason": '0', "remove": 't'}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return kept{}, err
		}
		key := name.String()
		value, err := dec.ReadToken()
		if err != nil {
			return kept{}, err
		}
		kind := value.Kind()
		if kind == 'f' {
			kind = 't'
		}
		if kinds[key] != kind {
			return kept{}, errBad
		}
		members[key] = value.String()
	}
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '}' {
		return kept{}, errBad
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return kept{}, errBad
	}
	return modelRules(members)
}

func modelRules(members map[string]string) (kept, error) {
	id := members["subject"]
	if cache.CheckSubject([]byte(id)) != nil {
		return kept{}, errBad
	}
	if members["remove"] == "true" {
		if len(members) > 2 {
			return kept{}, errBad
		}
		return kept{id, cache.Removed}, nil
	}
	s, ok := cache.ParseStatus([]byte(members["status"]))
	if !ok {
		return kept{}, errBad
	}
	number := 0
	if text, ok := members["reason"]; ok {
		if !integer.MatchString(text) {
			return kept{}, errBad
		}
		number, _ = strconv.Atoi(text)
	}
	var at time.Time
	if text, ok := members["until"]; ok {
		var err error
		if at, err = time.Parse(time.RFC3339, text); err != nil || !rfc3339.MatchString(text) {
			return kept{}, errBad
		}
		if at.Before(time.Unix(0, 0)) {
			at = time.Unix(0, 0)
		}
	}
	record, err := cache.NewRecord(s, uint8(number), at)
	return kept{id, record}, err
}

// checkJSON holds our parser against the model: the same delta, or a refusal by both. It reports whether it is a delta.
func checkJSON(t *testing.T, line []byte) bool {
	t.Helper()
	want, err := model(line)
	row, name, why := parseJSON(bytes.Clone(line))
	if (why == "") != (err == nil) {
		t.Fatalf("%q: %s %q, but the model: %v, %v", line, name, why, want, err)
	}
	if got := (kept{string(row.Subject), row.Record}); err == nil && got != want {
		t.Fatalf("%q: %v, want %v", line, got, want)
	}
	return err == nil
}

// pieces are values for each field, good ones first and more often.
var pieces = map[string][]string{
	"subject":     {`"a"`, `"é\u0020"`, `"\u00e9"`, `"\ud83d\ude00\/"`, `"\\\"x"`, `"\ud83d"`, `"\u12"`, `"\n"`, "null", "\"\x01\""},
	"status":      {`"green"`, `"red"`, `"void"`, `"yellow"`, `"blue"`, "{}", "[1]"},
	`st\u0061tus`: {`"y\u0065llow"`, `"red"`, `""`},
	"until":       {`"2031-05-06T07:08:09Z"`, `"2031-05-06T07:08:09.5-11:30"`, `"2031-5-06T07:08:09Z"`, "2031", `"2099-01-01T00:00:00Z"`},
	"reason":      {"0", "7", "63", "64", "-0", "1.0", "1e1", "01", `"1"`, "1x"},
	"remove":      {"false", "true", "true", "falsey", "null", "0", `"true"`},
	"other":       {"1"},
}

// piecedLine puts a line together from pieces, nearly right as a rule.
func piecedLine(rng *rand.Rand) string {
	one := func(of ...string) string { return of[rng.IntN(len(of))] }
	space := func() string { return one("", "", "", " ", "\t ", "\r") }
	names := []string{"subject", one("status", "status", `st\u0061tus`), "until", "reason", "remove", one("other", "subject", "status")}
	names = names[:1+rng.IntN(5)+rng.IntN(8)/7]
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	line := space() + "{"
	for i, name := range names {
		if i > 0 {
			line += space() + ","
		}
		values := pieces[name]
		value := values[min(rng.IntN(len(values)), rng.IntN(len(values)))]
		line += space() + `"` + name + `"` + space() + ":" + space() + value
	}
	line += space() + "}" + space()
	if rng.IntN(4) == 0 {
		at := rng.IntN(len(line))
		line = line[:at] + one("", `"`, `\`, ",", "}", "x", "\xff") + line[at+rng.IntN(2):]
	}
	return line
}

func TestJSONPieces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const lines = 50_000
	good := 0
	for range lines {
		if checkJSON(t, []byte(piecedLine(rng))) {
			good++
		}
	}
	if good < lines/20 || good > lines/2 {
		t.Errorf("%d of %d lines are good; the pieces do not try both sides", good, lines)
	}
	t.Logf("%d of %d lines are good", good, lines)
}

func FuzzJSON(f *testing.F) {
	for _, line := range []string{
		`{"subject":"a","status":"red","until":"2031-05-06T07:08:09Z","reason":3}`,
		` { "remove" : true , "subject" : "\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t" } `,
		`{"subject":"粤","status":"green","until":"2031-05-06T07:08:09.5+05:30","remove":false}`,
		`{"subject":"a","status":"void","until":"0001-01-01T00:00:00Z"}`,
		`{"subject":"a","subject":null,"x":[{}]}`,
		`{"status":"yellow","until":"2031-05-06T7:08:09,5+24:60","subject":"\ud83d"}`,
		"{\"subject\":\"\xff\",\"status\":\"red\"}",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.IndexByte(line, '\n') < 0 {
			checkJSON(t, line)
		}
	})
}

// FuzzTime holds the time parser against a pattern and Go's own.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2031-05-06T07:08:09Z", "2031-05-06T7:08:09Z", "2024-02-29T23:59:59.999-23:59", "0000-12-31T24:00:60,1+24:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := time.Parse(time.RFC3339, text)
		ok := err == nil && rfc3339.MatchString(text)
		got, gotOK := parseTime([]byte(text))
		if gotOK != ok || ok && !got.Equal(want) && !want.IsZero() || got.IsZero() && ok {
			t.Fatalf("%q: %v, %t; want %v, %t", text, got, gotOK, want, ok)
		}
	})
}
