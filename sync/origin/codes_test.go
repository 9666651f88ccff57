package origin

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/issuer"
)

// ringOf is what an edge checks an issuer's codes with, made of what the control stream tells.
func ringOf(o *Origin, id string) *passcode.Keyring {
	pub := o.writer(id).secret.Public()
	ring := &passcode.Keyring{Signing: pub.Key, Window: pub.CodeWindowSteps}
	for _, k := range pub.CodeKeys {
		ring.Keys = append(ring.Keys, passcode.NewKey(pub.ID, k.ID, k.Key))
	}
	return ring
}

// verified reads a code and reports whether the issuer's edges take it as made by their issuer, and for that subject.
func verified(t *testing.T, o *Origin, id, subject, text string) bool {
	t.Helper()
	var c passcode.Code
	if !passcode.Parse([]byte(text), &c) || string(c.Issuer()) != id || string(c.Subject()) != subject {
		t.Fatalf("%q is no code of %s:%s", text, id, subject)
	}
	return ringOf(o, id).Verify(&c)
}

func mintOf(t *testing.T, s scanedge.SubjectSecret) string {
	t.Helper()
	raw, err := hex.DecodeString(s.Secret)
	if err != nil || len(raw) != 32 {
		t.Fatalf("%q is no secret: %v", s.Secret, err)
	}
	return passcode.Secret(raw).Mint(s.Issuer, byte(s.KeyID), []byte(s.Subject), s.Step)
}

// With the secret that an origin gives out a phone makes codes that edges take, also after one rotation, and not after two.
func TestASubjectsSecret(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a", "demo-b")
	get := func(path string) (s scanedge.SubjectSecret) {
		t.Helper()
		began := time.Now()
		rec := order(t, o, 200, "GET", path, "", &s)
		at, err := time.Parse("2006-01-02T15:04:05.000Z", s.ServerTime)
		if err != nil || at.Before(began.Truncate(time.Millisecond)) || at.After(time.Now()) || s.Step != uint32(at.Unix()/30) || s.StepSeconds != 30 {
			t.Errorf("%s: %v", rec.Body, err)
		}
		if h := rec.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
			t.Errorf("%v", h)
		}
		return s
	}
	first := get("/v1/issuers/demo-a/subjects/a%2Fb:%E7%A9%97/secret")
	if first.Issuer != "demo-a" || first.Subject != "a/b:穗" || first.KeyID != 1 {
		t.Errorf("%+v", first)
	}
	code := mintOf(t, first)
	if !verified(t, o, "demo-a", "a/b:穗", code) {
		t.Error("an edge does not take its code")
	}
	for _, other := range []string{"/v1/issuers/demo-a/subjects/a/secret", "/v1/issuers/demo-b/subjects/a%2Fb:%E7%A9%97/secret"} {
		if s := get(other); s.Secret == first.Secret {
			t.Errorf("%s has the same secret", other)
		}
	}
	for rotation, good := range []bool{true, false} {
		order(t, o, 200, "PUT", "/v1/issuers/demo-a", `{"new_code_key":true}`, nil)
		if verified(t, o, "demo-a", "a/b:穗", code) != good {
			t.Errorf("after %d rotations: good %v", rotation+1, !good)
		}
		if s := get("/v1/issuers/demo-a/subjects/a%2Fb:%E7%A9%97/secret"); s.KeyID != rotation+2 || s.Secret == first.Secret ||
			!verified(t, o, "demo-a", "a/b:穗", mintOf(t, s)) {
			t.Errorf("after %d rotations: %+v", rotation+1, s)
		}
	}
	before := mintOf(t, get("/v1/issuers/demo-a/subjects/x/secret"))
	order(t, o, 200, "PUT", "/v1/issuers/demo-a", `{"new_code_key":true,"drop_old_code_key":true}`, nil)
	if verified(t, o, "demo-a", "x", before) {
		t.Error("the key was not dropped at once")
	}
}

// An issuer's code keys are those that its edges check codes with. They go to operators alone, over TLS or on this machine, and the journal
// says who asked, and no key.
func TestCodeKeysAreForOperatorsAlone(t *testing.T) {
	var logged strings.Builder
	o, err := Open(t.Context(), Config{
		Dir: t.TempDir(), Issuers: []string{"demo-a"}, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Metrics: metrics.NewSet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	const path, here = "/v1/issuers/demo-a/code-keys", "127.0.0.1:9"
	order(t, o, 200, "PUT", "/v1/issuers/demo-a", `{"new_code_key":true}`, nil)
	for _, token := range []string{"", "x", o.tokens.Push, o.tokens.Scanner} {
		refused(t, call(o.API(), "GET", path, token, "", here), scanedge.NoToken)
	}
	refused(t, call(asEdge(t, o), "GET", path, "", "", here), scanedge.NoToken)
	refused(t, call(o.API(), "GET", path, o.tokens.Admin, "", "192.0.2.1:9"), scanedge.BadRequest, "over TLS")
	refused(t, call(o.API(), "GET", "/v1/issuers/nobody/code-keys", o.tokens.Admin, "", here), scanedge.UnknownIssuer)
	refused(t, call(o.API(), "HEAD", path, o.tokens.Admin, "", here), scanedge.MethodNotAllowed)

	var got IssuerCodeKeys
	rec := call(o.API(), "GET", path, o.tokens.Admin, "", here)
	unmarshal(t, rec.Body.Bytes(), &got)
	want := o.writer("demo-a").secret.Public().CodeKeys
	if got.Issuer != "demo-a" || len(want) != 2 || !reflect.DeepEqual(got.CodeKeys, want) || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s, want %v", rec.Body, want)
	}
	log := logged.String()
	if !strings.Contains(log, `msg="code keys were given out" issuer=demo-a newest=2 by=admin by_id=`) {
		t.Errorf("the journal does not say who asked: %s", log)
	}
	for _, k := range want {
		if strings.Contains(log, base64.StdEncoding.EncodeToString(k.Key)) || strings.Contains(log, hex.EncodeToString(k.Key)) {
			t.Error("the journal has a code key")
		}
	}
}

// A signed code is good for what was asked, whatever becomes of code keys.
func TestASignedCode(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	const path = "/v1/issuers/demo-a/subjects/x/codes"
	day := time.Now().Truncate(time.Second).Add(24 * time.Hour)
	sign := func(body string) (s scanedge.SignedCode, c passcode.Code) {
		t.Helper()
		order(t, o, 200, "POST", path, body, &s)
		if !verified(t, o, "demo-a", "x", s.Code) || !passcode.Parse([]byte(s.Code), &c) || c.Kind != passcode.Signed ||
			int64(c.From) != s.From.Unix() || int64(c.Until) != s.Until.Unix() {
			t.Errorf("%s: %+v", body, s)
		}
		return s, c
	}
	now := time.Now().Unix()
	s, c := sign(fmt.Sprintf(`{"until":%q}`, day.Format(time.RFC3339)))
	if from := int64(c.From); from < now || from > time.Now().Unix() || !s.Until.Equal(day) {
		t.Errorf("from now on: %+v", s)
	}
	_, c = sign(`{"from":"2100-01-01T00:00:00.9+08:00","until":"2106-02-07T06:28:15.9Z"}`)
	if want := time.Date(2099, 12, 31, 16, 0, 0, 0, time.UTC); int64(c.From) != want.Unix() || c.Until != 1<<32-1 {
		t.Errorf("%+v", c)
	}
	order(t, o, 200, "PUT", "/v1/issuers/demo-a", `{"new_code_key":true,"drop_old_code_key":true}`, nil)
	if !verified(t, o, "demo-a", "x", s.Code) {
		t.Error("it is forged after a rotation")
	}
	for body, want := range map[string]string{
		``: "until is missing", `{"from":"2100-01-01T00:00:00Z"}`: "until is missing", `{"until":4102444800}`: "not a JSON string",
		`{"until":"2100-01-01"}`: "cannot parse", `{"until":"2106-02-07T06:28:16Z"}`: "between 1970 and 2106",
		`{"from":"1969-12-31T23:59:59Z","until":"2100-01-01T00:00:00Z"}`:   "between 1970 and 2106",
		`{"from":"2100-01-01T00:00:00Z","until":"2100-01-01T00:00:00.5Z"}`: "not after from", `{"from":"2000-01-01T00:00:00Z","until":"2000-01-02T00:00:00Z"}`: "has passed",
		`{"until":"2100-01-01T00:00:00Z","subject":"y"}`: "subject",
	} {
		refused(t, call(o.API(), "POST", path, o.tokens.Admin, body), scanedge.BadRequest, "a code is asked for as", want)
	}
}

// Who asks wrongly gets no secret and no code, and neither of them nor a subject is ever logged.
func TestCodesAreForOperatorsAlone(t *testing.T) {
	var logged strings.Builder
	o, err := Open(t.Context(), Config{
		Dir: t.TempDir(), Issuers: []string{"demo-a"}, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Metrics: metrics.NewSet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	subject := fmt.Sprintf("subject-%016x", rand.Uint64())
	const body = `{"until":"2100-01-01T00:00:00Z"}`
	for _, c := range []struct{ method, route, body string }{{"GET", "secret", ""}, {"POST", "codes", body}} {
		for _, path := range []string{"/v1/issuers/demo-a/subjects/" + subject + "/", "/v1/issuers/nobody/subjects/x/"} {
			for _, token := range []string{"", "x", o.tokens.Push, o.tokens.Scanner} {
				refused(t, call(o.API(), c.method, path+c.route, token, c.body), scanedge.NoToken)
			}
		}
		admin := o.tokens.Admin
		refused(t, call(o.API(), c.method, "/v1/issuers/nobody/subjects/x/"+c.route, admin, c.body), scanedge.UnknownIssuer)
		refused(t, call(o.API(), c.method, "/v1/issuers/demo-a/subjects/"+strings.Repeat("x", 65)+"/"+c.route, admin, c.body), scanedge.BadRequest)
		refused(t, call(o.API(), c.method, "/v1/issuers/demo-a/subjects/a%00/"+c.route, admin, c.body), scanedge.BadRequest)
		rec := call(o.API(), "PUT", "/v1/issuers/demo-a/subjects/x/"+c.route, admin, "")
		if refused(t, rec, scanedge.MethodNotAllowed); rec.Header().Get("Allow") != c.method {
			t.Errorf("%v", rec.Header())
		}
		refused(t, call(asEdge(t, o), c.method, "/v1/issuers/demo-a/subjects/x/"+c.route, "", c.body), scanedge.NoToken)
	}
	var secret scanedge.SubjectSecret
	order(t, o, 200, "GET", "/v1/issuers/demo-a/subjects/"+subject+"/secret", "", &secret)
	var signed scanedge.SignedCode
	order(t, o, 200, "POST", "/v1/issuers/demo-a/subjects/"+subject+"/codes", body, &signed)
	log := logged.String()
	for _, want := range []string{`msg="a subject's secret was given out" issuer=demo-a key_id=1 by=admin by_id=`,
		`msg="a code was signed" issuer=demo-a from=`, "until=2100-01-01T00:00:00.000Z by=admin by_id="} {
		if !strings.Contains(log, want) {
			t.Errorf("the journal has no %s: %s", want, log)
		}
	}
	for _, never := range []string{subject, secret.Secret, mintOf(t, secret), signed.Code} {
		if strings.Contains(log, never) {
			t.Errorf("the journal has %s", never)
		}
	}
}

// An issuer of a build that knew of no code keys gets one at its next start, and keeps it.
func TestAnIssuerWithoutCodeKeysGetsOne(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	file := o.issuerFile("demo-a")
	o.Close()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]json.RawMessage
	unmarshal(t, b, &f)
	delete(f, "code_keys")
	if b, err = json.Marshal(f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for range 2 {
		o = open(t, dir, "demo-a")
		var s scanedge.SubjectSecret
		order(t, o, 200, "GET", "/v1/issuers/demo-a/subjects/x/secret", "", &s)
		secrets = append(secrets, s.Secret)
		o.Close()
	}
	if s, err := issuer.Load(file, "demo-a"); err != nil || len(s.CodeKeys()) != 1 || secrets[0] != secrets[1] {
		t.Errorf("%v, %v", secrets, err)
	}
}

// A backup holds the code keys: phones need not be enrolled anew after a restore, also those with the key before.
func TestABackupKeepsCodeKeys(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	secret := func(o *Origin) (s scanedge.SubjectSecret) {
		order(t, o, 200, "GET", "/v1/issuers/demo-a/subjects/x/secret", "", &s)
		return s
	}
	old := mintOf(t, secret(o))
	order(t, o, 200, "PUT", "/v1/issuers/demo-a", `{"new_code_key":true,"code_window_steps":3}`, nil)
	newest := secret(o)
	from, _ := receive(t, backupOf(t, o))
	order(t, o, 200, "PUT", "/v1/issuers/demo-a", `{"new_code_key":true,"drop_old_code_key":true}`, nil)
	late := mintOf(t, secret(o))
	o.Close()
	o = open(t, restoreTo(t, from), "demo-a")
	if got := secret(o); got.Secret != newest.Secret || got.KeyID != 2 || ringOf(o, "demo-a").Window != 3 {
		t.Errorf("the secret is %+v, was %+v", got, newest)
	}
	for code, good := range map[string]bool{old: true, mintOf(t, newest): true, late: false} {
		if verified(t, o, "demo-a", "x", code) != good {
			t.Errorf("good %v, want %v", !good, good)
		}
	}
}
