package origin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/delta"
)

func TestTermsOfAPush(t *testing.T) {
	long := strings.Repeat("n", maxNote)
	for _, c := range []struct {
		name    string
		values  []string
		problem scanedge.ProblemType // or none, and then
		want    string
	}{
		{"Idempotency-Key", []string{"k"}, "", "k"},
		{"Idempotency-Key", []string{"!~" + strings.Repeat("k", maxKey-2)}, "", "!~" + strings.Repeat("k", maxKey-2)},
		{"Idempotency-Key", []string{strings.Repeat("k", maxKey+1)}, scanedge.BadKey, ""},
		{"Idempotency-Key", []string{""}, scanedge.BadKey, ""},
		{"Idempotency-Key", []string{"a b"}, scanedge.BadKey, ""},
		{"Idempotency-Key", []string{"é"}, scanedge.BadKey, ""},
		{"Idempotency-Key", []string{"a\x7f"}, scanedge.BadKey, ""},
		{"Idempotency-Key", []string{"a", "a"}, scanedge.BadKey, ""},
		{"If-Match", []string{"0"}, "", "0"},
		{"If-Match", []string{`"17"`}, "", "17"},
		{"If-Match", []string{"18446744073709551615"}, "", "18446744073709551615"},
		{"If-Match", []string{"18446744073709551616"}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{"*"}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{""}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{`"`}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{`W/"17"`}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{"1, 2"}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{"-1"}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{"+1"}, scanedge.BadIfMatch, ""},
		{"If-Match", []string{"1", "1"}, scanedge.BadIfMatch, ""},
		{"Scanedge-Note", []string{"case 17, on behalf of \"x\""}, "", "case 17, on behalf of \"x\""},
		{"Scanedge-Note", []string{"100%25+%E5%B9%BF%E5%B7%9E"}, "", "100%+广州"},
		{"Scanedge-Note", []string{""}, "", ""},
		{"Scanedge-Note", []string{long}, "", long},
		{"Scanedge-Note", []string{long + "n"}, scanedge.BadNote, ""},
		{"Scanedge-Note", []string{url.PathEscape(strings.Repeat("州", maxNote/3))}, "", strings.Repeat("州", maxNote/3)},
		{"Scanedge-Note", []string{"州"}, scanedge.BadNote, ""},
		{"Scanedge-Note", []string{"100%"}, scanedge.BadNote, ""},
		{"Scanedge-Note", []string{"%ff"}, scanedge.BadNote, ""},
		{"Scanedge-Note", []string{"a%0Ab"}, scanedge.BadNote, ""},
		{"Scanedge-Note", []string{"a%C2%85b"}, scanedge.BadNote, ""},
		{"Scanedge-Note", []string{"a", "b"}, scanedge.BadNote, ""},
	} {
		var info delta.Info
		ifMatch, problem := terms(http.Header{c.name: c.values}, &info)
		var got string
		var word scanedge.ProblemType
		switch {
		case problem != nil:
			word = problem.Type
		case ifMatch != nil:
			got = fmt.Sprint(*ifMatch)
		default:
			got = info.Key + info.Note
		}
		if got != c.want || word != c.problem {
			t.Errorf("%s: %q: got %q %s, want %q %s", c.name, c.values, got, word, c.want, c.problem)
		}
	}
}

func TestAPushIsFoundByItsKey(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a", "demo-b")
	const key = "a/b%20c?d"
	want := pushOK(t, o, "demo-a", row("x", "red"), "Idempotency-Key", key)
	check := func() {
		t.Helper()
		rec := get(o, o.tokens.Push, "/v1/issuers/demo-a/pushes/"+url.PathEscape(key))
		var r scanedge.Receipt
		if err := json.Unmarshal(rec.Body.Bytes(), &r); err != nil || rec.Code != 200 || r != want {
			t.Errorf("%d %s, want %+v", rec.Code, rec.Body, want)
		}
	}
	check()
	for _, c := range []struct {
		token, path string
		status      int
	}{
		{o.tokens.Push, "demo-a/pushes/other", 404}, {o.tokens.Push, "demo-b/pushes/" + url.PathEscape(key), 404},
		{o.tokens.Push, "demo-z/pushes/x", 404}, {"", "demo-a/pushes/x", 401}, {o.tokens.Push, "demo-a/pushes/a%20b", 400},
		{o.tokens.Push, "demo-a/pushes/" + strings.Repeat("x", 129), 400},
	} {
		if rec := get(o, c.token, "/v1/issuers/"+c.path); rec.Code != c.status {
			t.Errorf("%s: %d %s", c.path, rec.Code, rec.Body)
		}
	}
	o.Close()
	o = open(t, dir, "demo-a", "demo-b")
	check()
}
