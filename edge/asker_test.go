package edge

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// What a gate has seen of an issuer's log it does not unsee at another edge.
func TestMinOffset(t *testing.T) {
	s := serving(t) // demo-a is at offset 17
	s.Hold([]string{"demo-a", "demo-b", "demo-d"})
	v := *s.holdings()["demo-a"].vouch.Load()
	v.Offset, v.Table = 5, new(cache.Table)
	s.Publish("demo-b", v)
	v.Beat = time.Now().Add(-2 * time.Hour)
	s.Publish("demo-d", v)
	conn := dial(t, s)
	for _, c := range []struct{ value, a, none, b string }{ // of demo-a:g, demo-a:none and demo-b:g
		{"0", "green", "unknown-subject", "unknown-subject"},
		{"5", "green", "unknown-subject", "unknown-subject"},
		{"6", "green", "unknown-subject", "behind"},
		{"17", "green", "unknown-subject", "behind"},
		{"18", "behind", "behind", "behind"},
		{"18446744073709551615", "behind", "behind", "behind"},
		{"demo-a=17", "green", "unknown-subject", "unknown-subject"},
		{"demo-a=17, demo-b=5", "green", "unknown-subject", "unknown-subject"},
		{"demo-a=17,demo-b=6", "green", "unknown-subject", "behind"},
		{"demo-a=18 ,\tdemo-b=5", "behind", "behind", "unknown-subject"},
		{"demo-b=6, demo-c=99", "green", "unknown-subject", "behind"},
		{"demo-a=18, demo-a=1", "behind", "behind", "unknown-subject"},
		{"demo-a=1, 6", "green", "unknown-subject", "behind"},
	} {
		header := "Scanedge-Min-Offset: " + c.value
		for code, want := range map[string]string{"demo-a:g": c.a, "demo-a:none": c.none, "demo-b:g": c.b} {
			res, body := ask(t, conn, "GET /v1/scan/"+code, "", auth, header)
			if !strings.Contains(body, `"`+want+`"`) || (want == "behind") != (res.StatusCode == 503 && res.Header.Get("Retry-After") == "1") {
				t.Errorf("%s with %s: %s %s, want %s", code, c.value, res.Status, body, want)
			}
		}
		if _, body := ask(t, conn, "POST /v1/scan", "demo-a:g\ndemo-a:none\ndemo-b:g", auth, header, "Accept: text/plain"); body != c.a+"\n"+c.none+"\n"+c.b+"\n" {
			t.Errorf("in a batch with %s: %q", c.value, body)
		}
	}
	// What is no verdict of a table has its own word.
	for code, want := range map[string]string{"demo-a:": "malformed-code", "demo-x:g": "issuer-not-held", "demo-d:g": "too-stale"} {
		if _, body := ask(t, conn, "GET /v1/scan/"+code, "", auth, "Scanedge-Min-Offset: 99"); !strings.Contains(body, `"`+want+`"`) {
			t.Errorf("%s: %s, want %s", code, body, want)
		}
	}
	if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", "Authorization: Bearer wrong", "Scanedge-Min-Offset: x"); res.StatusCode != 401 {
		t.Errorf("with a wrong key: %s %s", res.Status, body)
	}
}

func TestBadMinOffset(t *testing.T) {
	conn := dial(t, serving(t))
	for _, value := range []string{
		"", " ", "x", "-1", "+1", "1.0", "0x1", "1e3", "١", "18446744073709551616", "99999999999999999999", "1 2", "=1", "demo-a=", "demo-a", "demo-a=x", "Demo-a=1",
		"demo-a=1,", ",", "1,,2", "demo-a=1;demo-b=2", "demo-a==1", "demo-a:1", "demo-a =1", "demo-a= 1", strings.Repeat("i", 17) + "=1",
		"1\r\nScanedge-Min-Offset: 2", // one header, said once
	} {
		for _, line := range []string{"GET /v1/scan/demo-a:g", "POST /v1/scan"} {
			body := ""
			if line[0] == 'P' {
				body = "demo-a:g"
			}
			if res, out := ask(t, conn, line, body, auth, "Scanedge-Min-Offset: "+value); res.StatusCode != 400 || !strings.Contains(out, `"bad-min-offset"`) {
				t.Errorf("%s with %q: %s %s", line, value, res.Status, out)
			}
		}
	}
}

// shared is a cache between scanners and an edge that keeps all that a shared cache may (RFC 9111, 3): also answers that it would have to
// make up a lifetime for (4.2.2), and answers to requests with an Authorization, if they allow it (3.5).
type shared struct {
	origin func(line, header string) (*http.Response, string)
	kept   map[string]string
}

func (c *shared) get(line, header string) string {
	if body, ok := c.kept[line]; ok {
		return body
	}
	res, body := c.origin(line, header)
	if mayKeep(header, res) {
		c.kept[line] = body
	}
	return body
}

func mayKeep(requestHeader string, res *http.Response) bool {
	directives := strings.ToLower(res.Header.Get("Cache-Control"))
	has := func(d string) bool { return strings.Contains(directives, d) }
	switch {
	case has("no-store"), has("private"):
		return false
	case strings.HasPrefix(requestHeader, "Authorization") && !has("public") && !has("s-maxage") && !has("must-revalidate"):
		return false
	}
	heuristic := map[int]bool{200: true, 203: true, 204: true, 300: true, 301: true, 308: true, 404: true, 405: true, 410: true, 414: true, 501: true} // RFC 9110, 15.1
	return heuristic[res.StatusCode] || has("public") || has("max-age") || res.Header.Get("Expires") != ""
}

// A shared cache in between never serves a verdict, nor a problem: each is asked for anew, and so is what has changed meanwhile.
func TestNoSharedCacheServesAnAnswer(t *testing.T) {
	if !mayKeep("", &http.Response{StatusCode: 410, Header: http.Header{}}) || mayKeep(auth, &http.Response{StatusCode: 200, Header: http.Header{}}) {
		t.Fatal("the cache of this test is none")
	}
	at := noon
	s := checking(t, 1, &at)
	conn := dial(t, s)
	c := &shared{func(line, header string) (*http.Response, string) { return ask(t, conn, line, "", header) }, map[string]string{}}
	code := rolling(&mint.key, "g", uint32(noon.Unix()/30))
	early := rolling(&mint.key, "r", uint32(noon.Unix()/30)+3)
	lines := map[string][2]string{ // the answer before and after
		"GET /v1/scan/" + code: {"green", "code-expired"}, "GET /v1/scan/" + early: {"clock-ahead", "red"},
		"GET /v1/scan/demo-a:new": {"unknown-subject", "green"}, "GET /v1/scan/demo-b:g": {"not-ready", "unknown-subject"},
		"GET /v1/scan/demo-z:g": {"issuer-not-held", "not-ready"}, "GET /": {"not-found", "not-found"}, "GET /v1/scan": {"method-not-allowed", "method-not-allowed"},
	}
	for when := range 2 {
		for line, want := range lines {
			for _, header := range []string{auth, "X: y"} {
				if body := c.get(line, header); !strings.Contains(body, `"`+want[when]+`"`) && !strings.Contains(body, `"no-key"`) {
					t.Errorf("%s: %s, want %s", line, body, want[when])
				}
			}
		}
		at = noon.Add(80 * time.Second)
		v := *s.holdings()["demo-a"].vouch.Load()
		v.Table.Put(v.Seed.Key([]byte("new")), 1<<24-1)
		s.Hold([]string{"demo-a", "demo-b", "demo-z"})
		s.Publish("demo-b", Vouch{Table: new(cache.Table), Beat: at})
	}
	if len(c.kept) != 0 {
		t.Errorf("kept: %v", c.kept)
	}
	// What can't be read as a request is answered before the handler is reached.
	if _, err := io.WriteString(conn, "\x00\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || mayKeep("", res) || !bytes.Equal([]byte(res.Header.Get("Cache-Control")), noStore) {
		t.Errorf("unreadable: %+v, %v", res, err)
	}
}
