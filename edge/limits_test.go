package edge

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/edge/limit"
	"github.com/scanedge/scanedge/edge/passcode"
)

var strict = limit.Limits{Guard: limit.Guard{Forgiven: 0.01, SlowAfter: 5, SlowTo: 1_000_000, LockAfter: 10, LockFor: time.Hour}}

// limited is a server like serving, whose keys have limits of their own by their names, or none.
func limitedServer(t *testing.T, keys map[string]limit.Limits) *Server {
	s, callers := serving(t), map[string]limit.Caller{}
	for key, l := range keys {
		callers[key] = limit.NewCaller(limit.New(l))
	}
	s.Admit(func(key []byte, _ time.Time) (limit.Caller, bool) {
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

// guests limits those without a key, at whatever address, and returns how a scan of theirs is answered, from one of those addresses.
func guests(t *testing.T, s *Server, addresses, holders limit.Limits) func(code, from string) string {
	t.Helper()
	rules, of := limit.New(addresses), limit.New(holders)
	ranges, err := limit.NewRanges(rules)
	if err != nil {
		t.Fatal(err)
	}
	s.Limit(Guests{Addresses: ranges, Holders: of, Table: limit.NewTable(100, rules, of), Proxies: &Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")}}})
	s.born = noon.Add(-time.Hour)
	return func(code, from string) string {
		ctx := request(code, "text/plain")
		ctx.Request.Header.Del("Authorization")
		ctx.Request.Header.Set("X-Forwarded-For", from)
		s.Handle(ctx)
		if ctx.Response.StatusCode() == 200 {
			return string(ctx.Response.Body())
		}
		word, _, _ := strings.Cut(strings.TrimPrefix(string(ctx.Response.Body()), `{"type":"`), `"`)
		if later := ctx.Response.StatusCode() == 429 || word == "not-ready"; later != (len(ctx.Response.Header.Peek("Retry-After")) > 0) {
			t.Errorf("%s of %s: Retry-After %q", word, code, ctx.Response.Header.Peek("Retry-After"))
		}
		return word
	}
}

// In a hall behind one address somebody tries codes until he is locked out. The holders there go on, and so does he with his own code.
func TestOneInTheHallTriesCodes(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	scan := guests(t, s, strict, limit.Limits{Rate: 1, Burst: 1000})
	step := passcode.Step(noon.Unix())
	good, old := rolling(&mint.key, "g", step), rolling(&mint.key, "g", step-9)
	forged := good[:len(good)-1] + "A"
	if forged == good {
		forged = good[:len(good)-1] + "Q"
	}
	got := map[string]int{}
	for i := range 40 {
		got[scan([]string{forged, "demo-a:g", "nonsense", strings.Replace(good, "DEMO-A", "DEMO-Z", 1)}[i%4], "192.0.2.1")]++
	}
	if got["forged-code"] != 1 || got["no-key"] != 2 || got["issuer-not-held"] != 1 || got["too-fast"] != 5 || got["locked-out"] != 31 {
		t.Errorf("%v", got)
	}
	for range 50 {
		if word := scan(good, "192.0.2.1"); word != "green" {
			t.Fatalf("a holder in the hall: %s", word)
		}
		if word := scan(old, "192.0.2.1"); word != "code-expired" {
			t.Fatalf("a holder whose clock is behind: %s", word)
		}
	}
	if word := scan(forged, "192.0.2.2"); word != "forged-code" {
		t.Errorf("elsewhere: %s", word)
	}
	waiting := passcode.NewKey("demo-b", 2, bytes.Repeat([]byte{2}, 32))
	for range 50 { // what an edge can't tell yet is nobody's fault
		if word := scan(waiting.Secret([]byte("g")).Mint("demo-b", 2, []byte("g"), step), "192.0.2.3"); word != "not-ready" {
			t.Fatalf("of an issuer that the edge waits for: %s", word)
		}
	}
	for i, after := range []time.Duration{time.Hour - 1, time.Hour, 2 * time.Hour} {
		want := []string{"locked-out", "too-fast", "no-key"}[i]
		at = noon.Add(after)
		if word := scan("demo-a:g", "192.0.2.1"); word != want {
			t.Errorf("%v after he was locked out: %s", after, word)
		}
	}
}

// One holder who looks all the time is told to wait, and does not use up what the others at his address have together.
func TestOneHolderInTheHallLooksAllTheTime(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	scan := guests(t, s, limit.Limits{Rate: 0.1, Burst: 20}, limit.Limits{Rate: 0.1, Burst: 5})
	step := passcode.Step(noon.Unix())
	got := map[string]int{}
	for range 100 {
		got[scan(rolling(&mint.key, "g", step), "192.0.2.1")]++
	}
	for i := range 20 {
		got[scan(rolling(&mint.key, fmt.Sprint("r", i), step), "192.0.2.1")]++
	}
	if got["green"] != 5 || got["unknown-subject"] != 15 || got["too-fast"] != 95+5 {
		t.Errorf("%v", got)
	}
	if word := scan(rolling(&mint.key, "r", step), "192.0.2.2"); word != "red" {
		t.Errorf("elsewhere: %s", word)
	}
}

// Codes that their issuer made were not guessed: a gate at which holders come whom the table does not know is not locked out.
func TestProvenCodesAreNotTried(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	gate := limit.NewCaller(limit.New(strict))
	s.born = noon.Add(-time.Hour)
	by := asker{scanner: true, limits: gate}
	for i := range 100 {
		if word := s.judgeText(rolling(&mint.key, fmt.Sprint("nobody", i), passcode.Step(noon.Unix())), by); word != "unknown-subject" {
			t.Fatalf("%d: %s", i, word)
		}
	}
	for i := range 10 {
		if word := s.judgeText("demo-a:nobody", by); (word == "locked-out") != (i == 9) {
			t.Errorf("%d: %s", i, word)
		}
	}
}

// What is refused, and what is limited and not refused, costs no allocation either.
func TestLimitsAllocateNothing(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	scan := guests(t, s, strict, limit.Limits{Rate: 0.1, Burst: 5})
	for range 40 {
		scan("demo-a:g", "192.0.2.7")
	}
	locked := limit.NewCaller(limit.New(strict))
	locked.Bad(10, s.Clock(time.Now()))
	callers := map[string]limit.Caller{
		"free": limit.NewCaller(limit.New(limit.Limits{Rate: 1e7, Burst: 1e7, Guard: strict.Guard})), "locked": locked,
		"fast": limit.NewCaller(limit.New(limit.Limits{Rate: 0.1, Burst: 1})),
	}
	s.Admit(func(key []byte, _ time.Time) (limit.Caller, bool) { c, ok := callers[string(key)]; return c, ok })
	good := rolling(&mint.key, "g", passcode.Step(noon.Unix()))
	for name, c := range map[string]struct{ key, from, code string }{
		"in time": {key: "free", code: "demo-a:g"}, "locked out": {key: "locked", code: "demo-a:g"}, "too fast": {key: "fast", code: "demo-a:g"},
		"a holder": {from: "192.0.2.1", code: good}, "a guest who is locked out": {from: "192.0.2.7", code: "demo-a:g"}, "a guest": {from: "192.0.2.9", code: "x"},
	} {
		ctx := request(c.code, "*/*")
		ctx.Request.Header.Del("Authorization")
		if c.key != "" {
			ctx.Request.Header.Set("Authorization", "Bearer "+c.key)
		}
		ctx.Request.Header.Set("X-Forwarded-For", c.from)
		if n := testing.AllocsPerRun(100, func() {
			ctx.Response.Reset()
			s.Handle(ctx)
		}); n != 0 {
			t.Errorf("%s: %v allocations, %s", name, n, ctx.Response.Body())
		}
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

// What limits cost: BenchmarkHandle is the same without.
func BenchmarkHandleLimited(b *testing.B) {
	s := filled(b, 100_000)
	c := limit.NewCaller(limit.New(limit.Limits{Rate: 1e7, Burst: 1e7, Guard: strict.Guard}))
	s.Admit(func([]byte, time.Time) (limit.Caller, bool) { return c, true })
	ctx := request("demo-a:d000000017", "*/*")
	for b.Loop() {
		ctx.Response.Reset()
		s.Handle(ctx)
	}
}
