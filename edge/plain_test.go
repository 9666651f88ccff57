package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// An issuer may refuse plain codes: then no code of that form learns anything, whoever is in the table, and other issuers go on.
func TestPlainForbidden(t *testing.T) {
	s := serving(t)
	s.Hold([]string{"demo-a", "demo-b"})
	v := Vouch{Seed: cache.NewSeed(), Table: new(cache.Table), Offset: 3, Beat: time.Now(), MaxStale: time.Hour, PlainOff: true}
	v.Table.Put(v.Seed.Key([]byte("g")), 0)
	s.Publish("demo-b", v)
	conn := dial(t, s)
	for _, code := range []string{"demo-b:g", "demo-b:nobody"} {
		res, body := ask(t, conn, "GET /v1/scan/"+code, "", auth)
		if res.StatusCode != 403 || !strings.Contains(body, `"plain-forbidden"`) || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s %s", code, res.Status, body)
		}
	}
	if _, body := ask(t, conn, "POST /v1/scan", "demo-b:g\ndemo-b:\ndemo-a:g\n", auth, "Accept: text/plain"); body != "plain-forbidden\nmalformed-code\ngreen\n" {
		t.Errorf("%q", body)
	}
	v.PlainOff = false
	s.Publish("demo-b", v)
	if res, body := ask(t, conn, "GET /v1/scan/demo-b:nobody", "", auth); res.StatusCode != 404 {
		t.Errorf("when they are on again: %s %s", res.Status, body)
	}
}
