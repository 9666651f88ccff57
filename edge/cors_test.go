package edge

import (
	"bufio"
	"net/http"
	"testing"
)

// Pages of the origins that are named may see the answers of scans, refused ones too, and no others may; without any nothing is said of it.
func TestCORS(t *testing.T) {
	const gate = "https://gate.example"
	for _, c := range []struct {
		allow  []string
		origin string
		says   string // Access-Control-Allow-Origin
		vary   string
	}{
		{nil, gate, "", ""},
		{[]string{"*"}, gate, "*", ""},
		{[]string{"*"}, "", "*", ""},
		{[]string{"https://other.example", gate}, gate, gate, "Origin"},
		{[]string{gate}, "https://gate.example.evil", "", "Origin"},
		{[]string{gate}, "null", "", "Origin"},
		{[]string{gate}, "", "", "Origin"},
	} {
		s := serving(t)
		s.AllowOrigins(c.allow)
		conn := dial(t, s)
		origin := "X: y"
		if c.origin != "" {
			origin = "Origin: " + c.origin
		}
		for status, header := range map[int]string{http.StatusOK: auth, http.StatusUnauthorized: "X: y"} {
			res, _ := ask(t, conn, "GET /v1/scan/demo-a:g", "", origin, header)
			exposed := ""
			if c.says != "" {
				exposed = "Retry-After"
			}
			h := res.Header
			if res.StatusCode != status || h.Get("Access-Control-Allow-Origin") != c.says || h.Get("Vary") != c.vary ||
				h.Get("Access-Control-Expose-Headers") != exposed || h.Get("Access-Control-Allow-Methods") != "" {
				t.Errorf("%v, from %q: %s %v", c.allow, c.origin, res.Status, h)
			}
		}
		res, _ := ask(t, conn, "OPTIONS /v1/scan/demo-a:g", "", origin, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")
		if c.allow == nil {
			if res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("a preflight where none is answered: %s", res.Status)
			}
			continue
		}
		h := res.Header
		if res.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != c.says || h.Get("Access-Control-Allow-Methods") != "GET, POST" ||
			h.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, Scanedge-Min-Offset" || h.Get("Access-Control-Max-Age") != "7200" {
			t.Errorf("%v, from %q: preflight %s %v", c.allow, c.origin, res.Status, h)
		}
		if res, _ := ask(t, conn, "OPTIONS /v1/scan/demo-a:g", "", origin); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("OPTIONS that is no preflight: %s", res.Status)
		}
	}
}

// A scan is no resource of which one would want the header alone: HEAD is refused as other methods are, without a body, and the connection goes on.
func TestHEADIsRefused(t *testing.T) {
	conn := dial(t, serving(t))
	if _, err := conn.Write([]byte("HEAD /v1/scan/demo-a:g HTTP/1.1\r\nHost: e\r\n" + auth + "\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodHead})
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET" {
		t.Errorf("%s %v", got.Status, got.Header)
	}
	if res, body := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth); res.StatusCode != http.StatusOK {
		t.Errorf("the next request: %s %s", res.Status, body)
	}
}
