package origin

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
)

// order sends an operator's request and decodes its answer, which must have that status.
func order(t *testing.T, o *Origin, status int, method, path, body string, into any) *httptest.ResponseRecorder {
	t.Helper()
	rec := call(o.API(), method, path, o.tokens.Admin, body)
	if rec.Code != status {
		t.Fatalf("%s %s %s: %d %s", method, path, body, rec.Code, rec.Body)
	}
	if into != nil {
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v", rec.Body, err)
		}
	}
	return rec
}

func makeToken(t *testing.T, o *Origin, body string) (made MadeToken) {
	t.Helper()
	order(t, o, http.StatusCreated, "POST", "/v1/tokens", body, &made)
	return made
}

// pushAs pushes a body of CSV without its header.
func pushAs(o *Origin, token, issuer string, rows ...string) *httptest.ResponseRecorder {
	return post(o, issuer, strings.NewReader("subject,status\n"+strings.Join(rows, "\n")), "Authorization", "Bearer "+token)
}

func refused(t *testing.T, rec *httptest.ResponseRecorder, word scanedge.ProblemType, parts ...string) {
	t.Helper()
	var p scanedge.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Type != word || rec.Code != word.Status() {
		t.Errorf("%d %s, want %s", rec.Code, rec.Body, word)
	}
	for _, part := range parts {
		if !strings.Contains(p.Detail, part) {
			t.Errorf("%q does not say %q", p.Detail, part)
		}
	}
}

// The life of a push token: made, used, rotated with an overlap, rotated without, revoked; what the log keeps of it is its name.
func TestAPushTokensLife(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	first := makeToken(t, o, `{"kind":"push","name":"广州 1","issuers":["demo-a"],"rate":100,"max_deltas":5}`)
	ok := func(token string, want int) {
		t.Helper()
		if rec := pushAs(o, token, "demo-a", "x,red"); rec.Code != want {
			t.Errorf("%d %s, want %d", rec.Code, rec.Body, want)
		}
	}
	ok(first.Token, 200)
	if rec := call(o.API(), "GET", "/v1/issuers/demo-a/records", first.Token, ""); !strings.Contains(rec.Body.String(), "广州 1") {
		t.Error("the record does not say who pushed")
	}
	var second, third MadeToken
	order(t, o, 200, "POST", "/v1/tokens/"+first.ID+"/rotate", "", &second)
	ok(first.Token, 200)
	ok(second.Token, 200)
	order(t, o, 200, "POST", "/v1/tokens/"+first.ID+"/rotate", `{"overlap_s":0}`, &third)
	ok(first.Token, 401)
	ok(second.Token, 401)
	ok(third.Token, 200)

	var list struct{ Tokens []access.Token }
	rec := order(t, o, 200, "GET", "/v1/tokens", "", &list)
	last := list.Tokens[len(list.Tokens)-1]
	if last.ID != first.ID || last.Name != "广州 1" || last.Rate != 100 || last.MaxDeltas != 5 || last.Issuers[0] != "demo-a" ||
		last.Made.IsZero() || last.Rotated.IsZero() || time.Since(last.Used) > time.Minute || !last.Revoked.IsZero() {
		t.Errorf("listed as %+v", last)
	}
	for _, token := range []string{first.Token, second.Token, third.Token, o.tokens.Admin} {
		if hash, _ := access.HashOf([]byte(token)).MarshalText(); strings.Contains(rec.Body.String(), token) || strings.Contains(rec.Body.String(), string(hash)) {
			t.Error("the list holds a token or a hash")
		}
	}
	var gone access.Token
	order(t, o, 200, "DELETE", "/v1/tokens/"+first.ID, "", &gone)
	if gone.ID != first.ID || gone.Revoked.IsZero() {
		t.Errorf("revoked: %+v", gone)
	}
	ok(third.Token, 401)
	o.Close()
	o = open(t, dir, "demo-a")
	ok(third.Token, 401)
	ok(o.tokens.Push, 200)
}

// A scanner key has limits if none are asked for, and none if that is asked for; edges are told of both.
func TestLimitsOfScannerKeys(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	want := map[string]access.Limits{}
	for body, l := range map[string]access.Limits{
		`{"kind":"scan","name":"default"}`:                               {Rate: 1000, Burst: 10_000, Guard: true},
		`{"kind":"scan","name":"gate","rate":5}`:                         {Rate: 5, Burst: 50, Guard: true},
		`{"kind":"scan","name":"door","rate":5,"burst":9,"guard":false}`: {Rate: 5, Burst: 9},
		`{"kind":"scan","name":"free","rate":0,"guard":false}`:           {},
	} {
		want[makeToken(t, o, body).ID] = l
	}
	var list struct{ Tokens []access.Token }
	order(t, o, 200, "GET", "/v1/tokens", "", &list)
	for _, token := range list.Tokens {
		if l, own := token.Limits(); l != want[token.ID] || own != (token.Kind == access.Scan && token.Name != "scanner") {
			t.Errorf("%s: %+v, %v", token.Name, l, own)
		}
	}
	if c, _ := o.access.Control(); !maps.Equal(c.ScannerLimits, want) {
		t.Errorf("edges are told %+v, not %+v", c.ScannerLimits, want)
	}
}

func TestOrdersForTokensThatAreRefused(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	made := makeToken(t, o, `{"kind":"scan","name":"gate 1","expires_in_s":60}`)
	var list struct{ Tokens []access.Token }
	order(t, o, 200, "GET", "/v1/tokens", "", &list)
	admin := list.Tokens[0].ID
	for name, c := range map[string]struct {
		method, path, body string
		word               scanedge.ProblemType
		part               string
	}{
		"no body":           {"POST", "/v1/tokens", "", scanedge.BadRequest, "must be push, scan or admin"},
		"a gate's burst":    {"POST", "/v1/tokens", `{"kind":"scan","name":"n","rate":5,"burst":0}`, scanedge.BadRequest, "burst 0"},
		"a gate's rate":     {"POST", "/v1/tokens", `{"kind":"scan","name":"n","rate":-1}`, scanedge.BadRequest, "rate -1"},
		"a pusher's guard":  {"POST", "/v1/tokens", `{"kind":"push","name":"n","guard":true}`, scanedge.BadRequest, "for scanner keys"},
		"no JSON":           {"POST", "/v1/tokens", "kind=push", scanedge.BadRequest, "not a JSON object"},
		"unknown member":    {"POST", "/v1/tokens", `{"kind":"push","name":"n","issuer":"demo-a"}`, scanedge.BadRequest, "issuer"},
		"two objects":       {"POST", "/v1/tokens", `{"kind":"push","name":"n"}{}`, scanedge.BadRequest, "something follows"},
		"too much":          {"POST", "/v1/tokens", `{"kind":"push","name":"n"` + strings.Repeat(" ", maxOrder) + `}`, scanedge.TooLarge, "up to 4096 bytes"},
		"an edge's":         {"POST", "/v1/tokens", `{"kind":"edge","name":"n"}`, scanedge.BadRequest, "must be push, scan or admin"},
		"no name":           {"POST", "/v1/tokens", `{"kind":"push"}`, scanedge.BadRequest, "1 to 64 printable"},
		"no issuer's id":    {"POST", "/v1/tokens", `{"kind":"push","name":"n","issuers":["GZ"]}`, scanedge.BadRequest, "GZ"},
		"expired":           {"POST", "/v1/tokens", `{"kind":"push","name":"n","expires_in_s":0}`, scanedge.BadRequest, "expires_in_s is 0"},
		"endless":           {"POST", "/v1/tokens", `{"kind":"push","name":"n","expires_in_s":315360001}`, scanedge.BadRequest, "expires_in_s"},
		"taken":             {"POST", "/v1/tokens", `{"kind":"scan","name":"gate 1"}`, scanedge.NameTaken, ""},
		"rotate nobody":     {"POST", "/v1/tokens/nobody/rotate", "", scanedge.UnknownToken, ""},
		"a negative":        {"POST", "/v1/tokens/" + made.ID + "/rotate", `{"overlap_s":-1}`, scanedge.BadRequest, "overlap_s is -1"},
		"revoke nobody":     {"DELETE", "/v1/tokens/nobody", "", scanedge.UnknownToken, ""},
		"the last admin":    {"DELETE", "/v1/tokens/" + admin, "", scanedge.LastAdmin, "make another first"},
		"method of list":    {"PUT", "/v1/tokens", "", scanedge.MethodNotAllowed, ""},
		"method of one":     {"GET", "/v1/tokens/" + admin, "", scanedge.MethodNotAllowed, ""},
		"method of rotates": {"GET", "/v1/tokens/" + admin + "/rotate", "", scanedge.MethodNotAllowed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, call(o.API(), c.method, c.path, o.tokens.Admin, c.body), c.word, c.part)
		})
	}
	order(t, o, 200, "GET", "/v1/tokens", "", &list)
	if len(list.Tokens) != 4 {
		t.Errorf("%d tokens", len(list.Tokens))
	}
}

// A folder that takes no more: what was to be revoked is out all the same, and the operator is told that it would come back.
func TestOrdersThatAreNotWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := open(t, dir, "demo-a")
	made := makeToken(t, o, `{"kind":"push","name":"n"}`)
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Rename(dir+"-away", dir) }()
	refused(t, call(o.API(), "POST", "/v1/tokens", o.tokens.Admin, `{"kind":"push","name":"m"}`), scanedge.NotWritten)
	refused(t, call(o.API(), "POST", "/v1/tokens/"+made.ID+"/rotate", o.tokens.Admin, ""), scanedge.NotWritten)
	refused(t, call(o.API(), "DELETE", "/v1/tokens/"+made.ID, o.tokens.Admin, ""), scanedge.NotWritten, "a restart would let it in again")
	refused(t, call(o.API(), "PUT", "/v1/issuers/demo-a", o.tokens.Admin, `{"plain":false}`), scanedge.NotWritten)
	refused(t, pushAs(o, made.Token, "demo-a", "x,red"), scanedge.NoToken)
	if !o.writers["demo-a"].secret.Policy().Plain {
		t.Error("a policy holds that was not written")
	}
}

// A token for another issuer is told nothing of whether there is this one, by no door that takes push tokens.
func TestATokenForAnotherIssuer(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a", "demo-b")
	token := makeToken(t, o, `{"kind":"push","name":"n","issuers":["demo-a","later"]}`).Token
	if rec := pushAs(o, token, "demo-a", "x,red"); rec.Code != 200 {
		t.Errorf("its own: %d %s", rec.Code, rec.Body)
	}
	for _, c := range []struct{ method, path string }{
		{"POST", "/v1/issuers/%s/deltas"}, {"GET", "/v1/issuers/%s/pushes/key"}, {"GET", "/v1/issuers/%s/records"},
	} {
		there := call(o.API(), c.method, fmt.Sprintf(c.path, "demo-b"), token, "")
		not := call(o.API(), c.method, fmt.Sprintf(c.path, "demo-z"), token, "")
		refused(t, there, scanedge.NotYourIssuer)
		if there.Body.String() != not.Body.String() || fmt.Sprint(there.Header()) != fmt.Sprint(not.Header()) {
			t.Errorf("%v: an issuer that is there: %v %s; that is not: %v %s", c, there.Header(), there.Body, not.Header(), not.Body)
		}
		refused(t, call(o.API(), c.method, fmt.Sprintf(c.path, "later"), token, ""), scanedge.UnknownIssuer)
	}
	if o.word("demo-b", "x") != "none" {
		t.Error("it was pushed")
	}
}

// A push over its token's size or rate is refused whole, and is told when to come again.
func TestLimitsOfAPushToken(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	token := makeToken(t, o, `{"kind":"push","name":"n","rate":0.0001,"max_deltas":3}`).Token
	refused(t, pushAs(o, token, "demo-a", "a,red", "b,red", "c,red", "d,red"), scanedge.TooManyDeltas, "may push 3 deltas at once, these are 4")
	if rec := pushAs(o, token, "demo-a", "a,red", "b,red"); rec.Code != 200 {
		t.Errorf("within: %d %s", rec.Code, rec.Body)
	}
	rec := pushAs(o, token, "demo-a", "c,red", "d,red", "e,red")
	refused(t, rec, scanedge.TooFast, "0.0001 deltas a second")
	retryWithin(t, rec, 20_000)
	if rec := pushAs(o, token, "demo-a", "c,red"); rec.Code != 200 {
		t.Errorf("what is left: %d %s", rec.Code, rec.Body)
	}
	body := &endless{pattern: "subject,status\n"}
	rec = post(o, "demo-a", body, "Authorization", "Bearer "+token)
	refused(t, rec, scanedge.TooFast)
	retryWithin(t, rec, 10_000)
	if body.read != 0 {
		t.Errorf("%d bytes were read of a push that had to wait", body.read)
	}
	if n := o.writers["demo-a"].table.Len(); n != 3 {
		t.Errorf("%d subjects", n)
	}
	pushOK(t, o, "demo-a", "subject,status\nf,red\ng,red\nh,red\ni,red\n") // others have their own
}

// Only what is applied counts: looking at it costs nothing, and a replacement counts what it changes.
func TestARateCountsWhatIsApplied(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	token := makeToken(t, o, `{"kind":"push","name":"n","rate":0.0001,"max_deltas":3}`).Token
	pushOK(t, o, "demo-a", "subject,status\na,red\nb,red\nc,red\nd,red\ne,red\n")
	const deltas = "/v1/issuers/demo-a/deltas"
	for range 3 {
		if rec := callAPI(t, o, token, "POST", deltas+"?dry_run=1", "subject,status\na,green\nb,green\nc,green\n", nil, "Content-Type", "text/csv"); rec.Code != 200 {
			t.Fatalf("a dry run: %d %s", rec.Code, rec.Body)
		}
	}
	replace := func(body string) *httptest.ResponseRecorder {
		t.Helper()
		var p scanedge.Preview
		if rec := callAPI(t, o, token, "POST", deltas+"?replace=1&dry_run=1", body, &p, "Content-Type", "text/csv"); rec.Code != 200 {
			t.Fatalf("a preview: %d %s", rec.Code, rec.Body)
		}
		return callAPI(t, o, token, "POST", deltas+"?replace=1", body, nil, "Content-Type", "text/csv",
			"If-Match", strconv.FormatUint(p.Offset, 10), "Scanedge-Digest", p.Digest)
	}
	refused(t, replace("subject,status\na,green\n"), scanedge.TooManyDeltas, "changes 5 subjects", "however long it waits")
	if rec := replace("subject,status\na,green\nb,red\nc,red\nd,red\n"); rec.Code != 200 {
		t.Errorf("two changes of four rows: %d %s", rec.Code, rec.Body)
	}
	rec := replace("subject,status\na,red\nb,green\nc,red\nd,red\n")
	refused(t, rec, scanedge.TooFast)
	retryWithin(t, rec, 10_000)
	if o.word("demo-a", "b") != "red" {
		t.Error("it was applied in part")
	}
}

// retryWithin checks that an answer asks for about so many seconds, less what has gone by since.
func retryWithin(t *testing.T, rec *httptest.ResponseRecorder, seconds int) {
	t.Helper()
	if got, err := strconv.Atoi(rec.Header().Get("Retry-After")); err != nil || got > seconds || got < seconds*9/10 {
		t.Errorf("Retry-After is %q, not about %d", rec.Header().Get("Retry-After"), seconds)
	}
}

// A token that is revoked while its push comes in pushes nothing.
func TestRevokedWhileThePushComes(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	made := makeToken(t, o, `{"kind":"push","name":"n"}`)
	body, send := io.Pipe()
	go func() {
		_, _ = io.WriteString(send, "subject,status\n")
		call(o.API(), "DELETE", "/v1/tokens/"+made.ID, o.tokens.Admin, "")
		_, _ = io.WriteString(send, "x,red\n")
		_ = send.Close()
	}()
	refused(t, post(o, "demo-a", body, "Authorization", "Bearer "+made.Token), scanedge.NoToken)
	if o.word("demo-a", "x") != "none" {
		t.Error("it was applied")
	}
}
