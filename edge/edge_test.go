package edge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/limit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own: one clock for all servers, and each server's cleaner, which ends at its next round.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const testKey = "scan-key"

// admitting is a server that holds some issuers, none caught up, and admits testKey.
func admitting(issuers ...string) *Server {
	s := New(metrics.NewSet())
	s.Hold(issuers)
	s.Admit(func(key []byte, _ time.Time) (limit.Caller, bool) { return limit.Caller{}, string(key) == testKey })
	return s
}

// serving is one that holds demo-a with some subjects, and demo-b not caught up.
func serving(t *testing.T) *Server {
	t.Helper()
	s := admitting("demo-a", "demo-b")
	v := Vouch{Seed: cache.NewSeed(), Table: new(cache.Table), Offset: 17, Beat: time.Now(), MaxStale: time.Hour}
	put := func(subject string, st cache.Status, reason uint8, until time.Time) {
		r, err := cache.NewRecord(st, reason, until)
		if err != nil {
			t.Fatal(err)
		}
		v.Table.Put(v.Seed.Key([]byte(subject)), r)
	}
	put("g", cache.Green, 0, time.Time{})
	put("r", cache.Red, 63, time.Date(2050, 1, 2, 3, 4, 59, 0, time.UTC))
	put("old", cache.Yellow, 1, time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC))
	put("v", cache.Void, 0, time.Time{})
	for _, odd := range []string{"a:b", "..", "../..", "a//b", "/", "?x=1", "#", "a b", "粤A·12345", "100%", "+"} {
		put(odd, cache.Green, 9, time.Time{})
	}
	s.Publish("demo-a", v)
	return s
}

// dial is a raw connection to a server over memory: what is written is what the server reads.
func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	l := fasthttputil.NewInmemoryListener()
	serve(t, s.HTTP(), l)
	conn, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// serve serves on a listener until the test ends.
func serve(t *testing.T, front *fasthttp.Server, l net.Listener) {
	done := make(chan struct{})
	go func() { defer close(done); _ = front.Serve(l) }()
	t.Cleanup(func() { _ = front.Shutdown(); <-done })
}

// ask sends a request as it stands and returns the answer.
func ask(t *testing.T, conn net.Conn, line, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req := line + " HTTP/1.1\r\nHost: e\r\n" + strings.Join(append(header, ""), "\r\n")
	if body != "" {
		req += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(conn, req+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q", line, res.Header.Get("Cache-Control"))
	}
	return res, string(b)
}

const auth = "Authorization: Bearer " + testKey

func TestVerdicts(t *testing.T) {
	conn := dial(t, serving(t))
	for code, want := range map[string]string{
		"demo-a:g":   `{"issuer":"demo-a","status":"green","offset":17,"age_ms":`,
		"demo-a:r":   `{"issuer":"demo-a","status":"red","until":"2050-01-02T03:04:00Z","reason":63,"offset":17,"age_ms":`,
		"demo-a:old": `{"issuer":"demo-a","status":"lapsed","until":"2021-01-01T00:00:00Z","reason":1,"offset":17,"age_ms":`,
		"demo-a:v":   `{"issuer":"demo-a","status":"void","offset":17,"age_ms":`,
	} {
		res, body := ask(t, conn, "GET /v1/scan/"+code, "", auth)
		if res.StatusCode != 200 || !strings.HasPrefix(body, want) || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %s", code, res.Status, body)
		}
		var v scanedge.Verdict
		if err := json.Unmarshal([]byte(body), &v); err != nil || v.Offset != 17 || v.AgeMS == nil || v.Stale {
			t.Errorf("%s: %s reads as %+v, %v", code, body, v, err)
		}
		word := strings.Split(want, `"`)[7]
		if res, body := ask(t, conn, "GET /v1/scan/"+code, "", auth, "Accept: text/plain"); body != word || res.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s as text: %q", code, body)
		}
	}
}

func TestCodesAreTakenFromTheRawRequestLine(t *testing.T) {
	conn := dial(t, serving(t))
	for _, target := range []string{
		"demo-a:a:b", "demo-a%3Aa:b", "demo-a:..", "demo-a:../..", "demo-a:%2e%2E/..", "demo-a:a//b", "demo-a:a%2F/b", "demo-a:/",
		"demo-a:%3Fx=1", "demo-a:%23", "demo-a:a%20b", "demo-a:%E7%B2%A4A%C2%B712345", "demo-a:100%25", "demo-a:+", "demo-a:g?x=y",
	} {
		for _, prefix := range []string{"GET /v1/scan/", "GET http://edge.example/v1/scan/"} {
			if res, body := ask(t, conn, prefix+target, "", auth); res.StatusCode != 200 || !strings.Contains(body, `"green"`) {
				t.Errorf("%s%s: %s %s", prefix, target, res.Status, body)
			}
		}
	}
}

func TestScanProblems(t *testing.T) {
	conn := dial(t, serving(t))
	for _, c := range []struct {
		line   string
		header string
		status int
		word   string
	}{
		{"GET /v1/scan/", auth, 400, "malformed-code"},
		{"GET /v1/scan/nocolon", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:", auth, 400, "malformed-code"},
		{"GET /v1/scan/:g", auth, 400, "malformed-code"},
		{"GET /v1/scan/Demo-a:g", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:%", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:%4", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:%zz", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:%00", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:%0A", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:%ff", auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a%253Ag", auth, 400, "malformed-code"}, // decoded once, not twice
		{"GET /v1/scan/demo-a:" + strings.Repeat("x", 65), auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:" + strings.Repeat("x", 3000), auth, 400, "malformed-code"},
		{"GET /v1/scan/demo-a:" + strings.Repeat("x", 64), auth, 404, "unknown-subject"},
		{"GET /v1/scan/demo-a:G", auth, 404, "unknown-subject"},
		{"GET /v1/scan/demo-c:g", auth, 404, "issuer-not-held"},
		{"GET /v1/scan/demo-b:g", auth, 503, "not-ready"},
		{"GET /v1/scan/demo-a:g", "X: y", 401, "no-key"},
		{"GET /v1/scan/demo-a:g", "Authorization: Bearer wrong", 401, "no-key"},
		{"GET /v1/scan/demo-a:g", "Authorization: Basic " + testKey, 401, "no-key"},
		{"GET /v1/scan/demo-a:g", "Authorization: Bearer", 401, "no-key"},
		{"POST /v1/scan/demo-a:g", auth, 405, "method-not-allowed"},
		{"GET /v1/scan", auth, 405, "method-not-allowed"},
		{"GET /", auth, 404, "not-found"},
		{"GET /v1/scanx/demo-a:g", auth, 404, "not-found"},
	} {
		res, body := ask(t, conn, c.line, "", c.header)
		var p scanedge.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != c.status || string(p.Type) != c.word || p.Status != c.status ||
			res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.60s: %s %s", c.line, res.Status, body)
		}
		if (res.StatusCode == 503) != (res.Header.Get("Retry-After") != "") || (res.StatusCode == 401) != (res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%.60s: headers %v", c.line, res.Header)
		}
	}
}

func TestBearerIsNotCaseSensitive(t *testing.T) {
	conn := dial(t, serving(t))
	if res, _ := ask(t, conn, "GET /v1/scan/demo-a:g", "", "authorization: bearer  "+testKey); res.StatusCode != 200 {
		t.Errorf("%s", res.Status)
	}
}

func TestNobodyIsAdmittedBeforeTheOriginSpoke(t *testing.T) {
	s := New(metrics.NewSet())
	if s.Unready() == "" {
		t.Error("ready with nothing held")
	}
	if res, out := ask(t, dial(t, s), "GET /v1/scan/demo-a:g", "", auth); res.StatusCode != 503 || !strings.Contains(out, "not-ready") {
		t.Errorf("%s %s", res.Status, out)
	}
}

func TestReadyWhenAllTablesCaughtUp(t *testing.T) {
	s := admitting("demo-a", "demo-b")
	v := Vouch{Table: new(cache.Table), Beat: time.Now()}
	s.Publish("demo-a", v)
	if why := s.Unready(); !strings.Contains(why, "demo-b") || strings.Contains(why, "demo-a") {
		t.Errorf("unready: %q", why)
	}
	s.Publish("demo-b", v)
	s.Publish("demo-c", v)
	if why := s.Unready(); why != "" {
		t.Errorf("unready: %q", why)
	}
	s.Hold([]string{"demo-a", "demo-b"})
	if why := s.Unready(); why != "" {
		t.Errorf("held again, and unready: %q", why)
	}
	s.Hold([]string{"demo-a", "demo-b", "demo-c"}) // a new issuer must not take all edges out of service
	if why := s.Unready(); why != "" {
		t.Errorf("one more, and unready: %q", why)
	}
	s.Hold([]string{"demo-b"})
	if res, out := ask(t, dial(t, s), "GET /v1/scan/demo-a:g", "", auth); res.StatusCode != 404 || !strings.Contains(out, "issuer-not-held") {
		t.Errorf("an issuer that is held no more: %s %s", res.Status, out)
	}
}

func TestAgeAndLease(t *testing.T) {
	s := admitting("demo-a")
	v := Vouch{Table: new(cache.Table), Beat: time.Now().Add(-10 * time.Second), MaxStale: time.Hour}
	v.Table.Put(v.Seed.Key([]byte("g")), 1<<24-1)
	s.Publish("demo-a", v)
	_, out := ask(t, dial(t, s), "GET /v1/scan/demo-a:g", "", auth)
	var got scanedge.Verdict
	if err := json.Unmarshal([]byte(out), &got); err != nil || *got.AgeMS < 10_000 || !got.Stale {
		t.Errorf("ten seconds after the last beat: %s, %v", out, err)
	}
}

// Old enough, a table is no longer answered from, not even that a subject is unknown; and how old that is the issuer says.
func TestTooStale(t *testing.T) {
	for name, c := range map[string]struct {
		age, maxStale time.Duration
		suspect       bool
		stale, refuse bool
	}{
		"fresh":                           {0, time.Minute, false, false, false},
		"fresh and strict":                {0, 0, false, false, false},
		"past the lease":                  {4 * time.Second, time.Minute, false, true, false},
		"past the lease and strict":       {4 * time.Second, 0, false, true, true},
		"within the lease, past the rest": {2 * time.Second, time.Second, false, false, false},
		"past both":                       {time.Minute + time.Second, time.Minute, false, true, true},
		"suspect":                         {0, time.Minute, true, true, false},
		"suspect and strict":              {0, 0, true, true, true},
		"suspect for long":                {2 * time.Minute, time.Minute, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := admitting("demo-a")
			v := Vouch{Table: new(cache.Table), Beat: time.Now().Add(-c.age), MaxStale: c.maxStale, Suspect: c.suspect}
			v.Table.Put(v.Seed.Key([]byte("g")), 1<<24-1)
			s.Publish("demo-a", v)
			conn := dial(t, s)
			wantStatus, wantUnknown, wantLine := 200, 404, `"status":"green"`
			if c.refuse {
				wantStatus, wantUnknown, wantLine = 503, 503, `{"error":"too-stale"}`
			}
			res, out := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth)
			if res.StatusCode != wantStatus || c.refuse != (res.Header.Get("Retry-After") == "1") ||
				!c.refuse && c.stale != strings.Contains(out, `"stale":true`) || c.refuse && !strings.Contains(out, `"too-stale"`) {
				t.Errorf("a subject that is there: %s %s", res.Status, out)
			}
			if res, out := ask(t, conn, "GET /v1/scan/demo-a:none", "", auth); res.StatusCode != wantUnknown {
				t.Errorf("a subject that is not there: %s %s", res.Status, out)
			}
			if _, out := ask(t, conn, "POST /v1/scan", "demo-a:g\ndemo-a:none", auth); !strings.HasPrefix(strings.ReplaceAll(out, `{"issuer":"demo-a",`, ""), wantLine) ||
				c.refuse && strings.Count(out, "too-stale") != 2 {
				t.Errorf("in a batch: %s", out)
			}
			if why := s.Unready(); c.refuse != strings.Contains(why, "too stale: demo-a") {
				t.Errorf("unready: %q", why)
			}
			var text bytes.Buffer
			s.set.WritePrometheus(&text)
			if want := fmt.Sprintf(`scanedge_scans_total{issuer="demo-a",outcome="too-stale"} %d`, map[bool]int{true: 4}[c.refuse]); !strings.Contains(text.String(), want) ||
				strings.Contains(text.String(), `scanedge_vouching{issuer="demo-a"} 1`) == c.stale {
				t.Errorf("metrics: %s", &text)
			}
		})
	}
}

// What a wall clock says is of no account to an age: both ends of it are readings of the monotonic clock.
func TestAgeIsNotOfTheWallClock(t *testing.T) {
	v := Vouch{Beat: time.Now().Add(-time.Second)}
	wall := time.Now().Add(time.Hour).Round(0) // no monotonic reading: as though the clock had been put forward
	if v.stale(time.Now()) || !v.stale(wall) {
		t.Errorf("stale: %v now, %v by the wall clock", v.stale(time.Now()), v.stale(wall))
	}
}

func TestUnreadableRequest(t *testing.T) {
	conn := dial(t, serving(t))
	res, out := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth, "X: "+strings.Repeat("x", 10_000))
	if res.StatusCode != 400 || !strings.Contains(out, "bad-request") {
		t.Errorf("%s %s", res.Status, out)
	}
}

// A connection on which no whole request comes in time is closed without a word, before its first request and after one; not before its time
// and two sweeps after it at the latest.
func TestIdleConnectionsEndWithoutAnAnswer(t *testing.T) {
	const whole = "GET /v1/scan/demo-a:g HTTP/1.1\r\nHost: e\r\n" + auth + "\r\n\r\n"
	const post = "POST /v1/scan HTTP/1.1\r\nHost: e\r\nContent-Length: 10\r\n"
	s := serving(t)
	dialAndAsk(t, s)
	for _, c := range []struct {
		sent   []string // half a minute after each other
		want   string
		within time.Duration
	}{
		{[]string{""}, "", readWithin},
		{[]string{whole}, "200", idleWithin},
		{[]string{"GET /v1/scan/demo-a:g HTTP/1.1\r\nHost"}, "", readWithin},
		{[]string{post + "\r\nx"}, "401", idleWithin},
		{[]string{whole, "GET /"}, "200", 30*time.Second + readWithin},
		{[]string{whole, whole, whole}, "200 200 200", time.Minute + idleWithin},
		{[]string{post + auth + "\r\n\r\nx"}, "", readWithin},
		{[]string{whole + "GET /"}, "200", idleWithin}, // a header of which nothing more comes
		{[]string{whole + "GET /", "v1"}, "200", 30*time.Second + readWithin},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			began := time.Now()
			go func() {
				in := byDoor(s, far)
				_ = s.HTTP().ServeConn(in)
				_ = in.Close()
			}()
			go func() {
				for i, part := range c.sent {
					if i > 0 {
						time.Sleep(30 * time.Second)
					}
					_, _ = io.WriteString(near, part)
				}
			}()
			b, err := io.ReadAll(near)
			var got []string
			for _, status := range regexp.MustCompile(`HTTP/1.1 (\d+)`).FindAllSubmatch(b, -1) {
				got = append(got, string(status[1]))
			}
			if strings.Join(got, " ") != c.want || err != nil || c.want == "" && len(b) > 0 {
				t.Errorf("%q is answered with %q: %v", c.sent, b, err)
			}
			if took := time.Since(began); took < c.within || took > c.within+2*sweepEvery {
				t.Errorf("%q: closed after %v, want %v", c.sent, took, c.within)
			}
		})
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"demo-a:g", "%", "%4", "%4z", "%z4", "%41%2f", "+", strings.Repeat("%41", maxCode), strings.Repeat("x", maxCode+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		want, err := url.PathUnescape(raw)
		var buf [maxCode]byte
		got, ok := unescape(buf[:0], []byte(raw))
		if ok != (err == nil && len(want) <= maxCode) || ok && string(got) != want {
			t.Errorf("%q: %q, %v; want %q, %v", raw, got, ok, want, err)
		}
	})
}

func FuzzHandle(f *testing.F) {
	s := admitting("demo-a")
	s.Publish("demo-a", Vouch{Table: new(cache.Table), Beat: time.Now()})
	f.Add("/v1/scan/demo-a:g", "demo-a:g\n")
	f.Add("/v1/scan/%zz", "")
	f.Add("http://x/v1/scan", "\r\n\xff")
	f.Fuzz(func(t *testing.T, target, body string) {
		for _, method := range []string{"GET", "POST"} {
			var ctx fasthttp.RequestCtx
			ctx.Init(&fasthttp.Request{}, nil, nil)
			ctx.Request.Header.SetMethod(method)
			ctx.Request.Header.SetRequestURI(target)
			ctx.Request.Header.Set("Authorization", "Bearer "+testKey)
			ctx.Request.SetBodyString(body)
			s.Handle(&ctx)
			out := ctx.Response.Body()
			if ctx.Response.StatusCode() != 200 && !json.Valid(out) {
				t.Errorf("%q answered %d %q", target, ctx.Response.StatusCode(), out)
			}
			if ctx.IsPost() && ctx.Response.StatusCode() == 200 {
				want := strings.Count(body, "\n")
				if body != "" && !strings.HasSuffix(body, "\n") {
					want++
				}
				if got := bytes.Count(out, []byte{'\n'}); got != want {
					t.Errorf("%d answers for %d lines", got, want)
				}
			}
		}
	})
}
