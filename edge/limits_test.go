package edge

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/edge/limit"
)

var strict = limit.Limits{Guard: limit.Guard{Forgiven: 0.01, SlowAfter: 5, SlowTo: 1_000_000, LockAfter: 10, LockFor: time.Hour}}

// limited is a server like serving, whose keys have limits of their own by their names, or none.
func limitedServer(t *testing.T, keys map[string]limit.Limits) *Server {
	s, callers := serving(t), map[string]limit.Caller{}
	for key, l := range keys {
		callers[key] = limit.NewCaller(limit.New(l))
	}
	s.Admit(func(key []byte) (limit.Caller, bool) {
		c, known := callers[string(key)]
		return c, known || string(key) == testKey
	})
	return s
}

func bearing(key string) string { return "Authorization: Bearer " + key }

// refusedFor checks a 429 and its headers.
func refusedFor(t *testing.T, res *http.Response, body, word, seconds string) {
	t.Helper()
	if res.StatusCode != 429 || !strings.Contains(body, `"type":"`+word+`"`) || res.Header.Get("Retry-After") != seconds ||
		res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("not %s for %s s: %s %v %s", word, seconds, res.Status, res.Header, body)
	}
}

func limitedTotals(t *testing.T, s *Server, rate, guard int) {
	t.Helper()
	var text strings.Builder
	s.set.WritePrometheus(&text)
	for reason, n := range map[string]int{"rate": rate, "guard": guard} {
		if line := fmt.Sprintf("scanedge_limited_total{reason=%q} %d\n", reason, n); !strings.Contains(text.String(), line) {
			t.Errorf("not %s in %s", line, text.String())
		}
	}
}

// A key's rate: its burst, then 429 with the time until there is more. Other keys go on, also those without limits.
func TestRateOfAKey(t *testing.T) {
	s := limitedServer(t, map[string]limit.Limits{"slow": {Rate: 0.1, Burst: 3}, "other": {Rate: 0.1, Burst: 3}})
	conn := dial(t, s)
	for range 3 {
		if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", bearing("slow")); res.StatusCode != 200 {
			t.Fatalf("within the burst: %s %s", res.Status, body)
		}
	}
	for range 100 { // without waiting: it gets no later by that
		res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", bearing("slow"))
		refusedFor(t, res, body, "too-fast", "10")
	}
	res, body := ask(t, conn, "POST /v1/scan", "demo-a:g\n", bearing("slow"))
	refusedFor(t, res, body, "too-fast", "10")
	for _, key := range []string{"other", testKey} {
		if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", bearing(key)); res.StatusCode != 200 {
			t.Errorf("%s: %s %s", key, res.Status, body)
		}
	}
	limitedTotals(t, s, 101, 0)
}

// A batch costs as many scans as it has codes, and is answered whole or not at all. A larger one than the burst goes when nothing is used up.
func TestRateOfBatches(t *testing.T) {
	s := limitedServer(t, map[string]limit.Limits{"gate": {Rate: 0.1, Burst: 5}})
	conn := dial(t, s)
	batch := func(n int) (*http.Response, string) {
		return ask(t, conn, "POST /v1/scan", strings.Repeat("demo-a:g\n", n), bearing("gate"), "Accept: text/plain")
	}
	if res, body := batch(3); res.StatusCode != 200 || body != strings.Repeat("green\n", 3) {
		t.Fatalf("%s %q", res.Status, body)
	}
	res, body := batch(3)
	refusedFor(t, res, body, "too-fast", "10")
	if res, body := batch(2); res.StatusCode != 200 {
		t.Errorf("two that were left: %s %s", res.Status, body)
	}
	fresh := limitedServer(t, map[string]limit.Limits{"gate": {Rate: 0.1, Burst: 5}})
	conn = dial(t, fresh)
	if res, body := batch(20); res.StatusCode != 200 {
		t.Errorf("more than the burst: %s %s", res.Status, body)
	}
	res, body = batch(1)
	refusedFor(t, res, body, "too-fast", "160")
}

// Who collects codes that are none is locked out: he alone, also for codes that are good.
func TestGuardOfAKey(t *testing.T) {
	s := limitedServer(t, map[string]limit.Limits{"thief": strict, "gate": strict})
	conn := dial(t, s)
	for i := range 9 {
		if res, body := ask(t, conn, fmt.Sprintf("GET /v1/scan/demo-a:nobody%d", i), "", bearing("thief")); res.StatusCode != 404 {
			t.Fatalf("%d: %s %s", i, res.Status, body)
		}
		if i < 4 { // neither does it, nor do these
			ask(t, conn, "GET /v1/scan/demo-a:g", "", bearing("thief"))
			ask(t, conn, "GET /v1/scan/demo-c:g", "", bearing("thief"))
		}
	}
	for _, code := range []string{"demo-a:nobody", "demo-a:g", "malformed", "demo-a:nobody"} {
		res, body := ask(t, conn, "GET /v1/scan/"+code, "", bearing("thief"))
		refusedFor(t, res, body, "locked-out", "3600")
	}
	res, body := ask(t, conn, "POST /v1/scan", "demo-a:g\n", bearing("thief"))
	refusedFor(t, res, body, "locked-out", "3600")
	for _, key := range []string{"gate", testKey} {
		if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", bearing(key)); res.StatusCode != 200 {
			t.Errorf("%s: %s %s", key, res.Status, body)
		}
	}
	limitedTotals(t, s, 0, 5)
}

// A batch is no way around: the line that is too much and all after it get the word, also those whose codes are good.
func TestGuardWithinABatch(t *testing.T) {
	s := limitedServer(t, map[string]limit.Limits{"thief": strict})
	conn := dial(t, s)
	lines := strings.Repeat("demo-a:g\ndemo-a:nobody\n", 12)
	_, body := ask(t, conn, "POST /v1/scan", lines, bearing("thief"), "Accept: text/plain")
	if want := strings.Repeat("green\nunknown-subject\n", 9) + "green\n" + strings.Repeat("locked-out\n", 5); body != want {
		t.Errorf("%q", body)
	}
	_, body = ask(t, conn, "GET /v1/scan/demo-a:g", "", bearing("thief"), "Accept: text/plain")
	if !strings.Contains(body, "locked-out") {
		t.Error(body)
	}
}

// Who brings no key is limited by his address, and other addresses are not. What has a key is not limited by where it is.
func TestGuests(t *testing.T) {
	rules := limit.New(strict)
	ranges, err := limit.NewRanges(rules, limit.Range{Prefix: netip.MustParsePrefix("10.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	s := serving(t)
	s.Limit(Guests{Addresses: ranges, Table: limit.NewTable(100, rules), Proxies: &Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")}}})
	conn := dial(t, s)
	from := func(a string) string { return "X-Forwarded-For: " + a }
	for i := range 12 {
		want := 401
		if i >= 4 { // slowed, and told so
			want = 429
		}
		if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", from("192.0.2.1")); res.StatusCode != want {
			t.Errorf("%d: %s %s", i, res.Status, body)
		}
	}
	res, body := ask(t, conn, "POST /v1/scan", "demo-a:g\n", from("192.0.2.1"))
	refusedFor(t, res, body, "locked-out", "3600")
	for _, a := range []string{"192.0.2.2", "10.1.2.3"} {
		if res, _ := ask(t, conn, "GET /v1/scan/demo-a:g", "", from(a)); res.StatusCode != 401 {
			t.Errorf("%s: %s", a, res.Status)
		}
	}
	if res, _ := ask(t, conn, "GET /v1/scan/demo-a:g", "", from("192.0.2.1"), auth); res.StatusCode != 200 {
		t.Errorf("with a key: %s", res.Status)
	}
	for range 100 {
		if res, _ := ask(t, conn, "GET /v1/scan/demo-a:g", "", from("10.1.2.3")); res.StatusCode != 401 {
			t.Fatalf("a range without limits: %s", res.Status)
		}
	}
}
