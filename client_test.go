package scanedge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a real HTTP server whose handler sees requests as they came: no mux cleans their paths.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// say is a handler that gives one answer to everything.
func say(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func problem(t scanedge.ProblemType, detail string) http.HandlerFunc {
	p := scanedge.NewProblem(t, detail)
	return say(p.Status, "application/problem+json", string(p.JSON()))
}

// asks are the three ways to ask a server, which all fail alike, and what their errors say they did.
var asks = []struct {
	what string
	ask  func(ctx context.Context, url string) error
}{
	{"scan", func(ctx context.Context, url string) error {
		_, err := scanedge.NewEdge(url, "key").Scan(ctx, "demo-a:s1")
		return err
	}},
	{"scan", func(ctx context.Context, url string) error {
		_, err := scanedge.NewEdge(url, "key").ScanMany(ctx, []string{"demo-a:s1", "demo-a:s2"})
		return err
	}},
	{"push to demo-a", func(ctx context.Context, url string) error {
		_, err := scanedge.NewOrigin(url, "token").Push(ctx, "demo-a", []scanedge.Delta{{Subject: "s1", Status: scanedge.Red}})
		return err
	}},
}

func TestProblemsComeBackTyped(t *testing.T) {
	for _, by := range asks {
		for _, word := range []scanedge.ProblemType{scanedge.NoKey, scanedge.NotReady, scanedge.BadLines} {
			base := serve(t, problem(word, "because"))
			err := by.ask(t.Context(), base)
			var p *scanedge.Problem
			if !errors.As(err, &p) || p.Type != word || p.Status != word.Status() || p.Detail != "because" {
				t.Errorf("%s: got %v, want the problem %s", by.what, err, word)
			}
			if err == nil || !strings.HasPrefix(err.Error(), by.what+" at "+base+": "+string(word)) {
				t.Errorf("%s: %v does not say what was being done, where", by.what, err)
			}
		}
	}
}

func TestAnswersOfOthers(t *testing.T) {
	page := "<html>" + strings.Repeat("x", 1000) + "END"
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"a proxy's page":           {say(502, "text/html", page), `502 Bad Gateway, but no answer of scanedge: "<html>xxx`},
		"a login page":             {say(200, "text/html", page), `but no answer of scanedge: "<html>xxx`},
		"another service's JSON":   {say(200, "application/json", `{"ok":true}`), `but no answer of scanedge: "{\"ok\":true}"`},
		"JSON without a type":      {say(400, "application/problem+json", `{"status":400}`), `400 Bad Request, but no answer`},
		"a problem as plain JSON":  {say(400, "application/json", `{"type":"no-key"}`), `400 Bad Request, but no answer`},
		"a broken problem":         {say(400, "application/problem+json", `{"type":`), `400 Bad Request, but no answer`},
		"nothing":                  {say(204, "text/plain", ""), `204 No Content, but no answer`},
		"a page elsewhere":         {redirect, `302 Found, but no answer`},
		"a connection that breaks": {half, "reading the answer: unexpected EOF"},
	} {
		base := serve(t, c.handler)
		for _, by := range asks {
			err := by.ask(t.Context(), base)
			says := fmt.Sprint(err)
			if !strings.HasPrefix(says, by.what+" at "+base+": ") || !strings.Contains(says, c.want) {
				t.Errorf("%s: %s: got %v, want it to say %s", name, by.what, err, c.want)
			}
			if strings.Contains(says, "END") {
				t.Errorf("%s: %s: shows more than the first bytes", name, by.what)
			}
		}
	}
}

// redirect sends the client to a path where a perfect answer waits. It must not go: its token is not for there.
func redirect(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/elsewhere" {
		say(200, "application/json", `{"issuer":"demo-a","status":"green","offset":1,"count":1}`)(w, r)
		return
	}
	http.Redirect(w, r, "/elsewhere", http.StatusFound)
}

func half(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, `{"issuer":"demo-a"`)
}

func TestAnswersAreCapped(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for chunk := []byte(strings.Repeat(" ", 1<<16)); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	base := serve(t, endless)
	for _, by := range asks {
		if err := by.ask(t.Context(), base); err == nil || !strings.Contains(err.Error(), "200 OK with more than ") {
			t.Errorf("%s: got %v", by.what, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, by := range asks {
		err := by.ask(t.Context(), gone.URL)
		if !errors.Is(err, syscall.ECONNREFUSED) || strings.Count(err.Error(), "http://") != 1 {
			t.Errorf("%s: got %v", by.what, err)
		}
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:7001", "ftp://x", "http://[::1"} {
		for _, by := range asks {
			if err := by.ask(t.Context(), base); err == nil || !strings.HasPrefix(err.Error(), by.what+" at "+base+": ") {
				t.Errorf("%s at %q: got %v", by.what, base, err)
			}
		}
	}
}

func TestCancelled(t *testing.T) {
	for _, by := range asks {
		ctx, cancel := context.WithCancel(t.Context())
		base := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		})
		if err := by.ask(ctx, base); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", by.what, err)
		}
	}
}

func TestBearerAndBasePath(t *testing.T) {
	for _, by := range asks {
		var seen atomic.Pointer[http.Request]
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			seen.Store(r)
			problem(scanedge.NotReady, "")(w, r)
		})
		_ = by.ask(t.Context(), base+"/gates/3/")
		auth := seen.Load().Header.Get("Authorization")
		if auth != "Bearer key" && auth != "Bearer token" {
			t.Errorf("%s: Authorization is %q", by.what, auth)
		}
		if uri := seen.Load().RequestURI; !strings.HasPrefix(uri, "/gates/3/v1/") {
			t.Errorf("%s: asked for %s", by.what, uri)
		}
	}
}

// nasty are codes that something between a scanner and an edge would like to clean.
var nasty = []string{
	"demo-a:d000000001", "demo-a:.", "demo-a:..", "demo-a:../..", "demo-a:a/../b", "demo-a://x", "/", "//", "..", ".", "../../etc",
	"demo-a:a b+c", "demo-a:%2F%2e", "demo-a:?q=1#frag", "demo-a:;x=1", "demo-a:\\x", "demo-a:广州-码", "demo-a:a:b:c",
	"demo-a:\x00\x7f", "demo-a:\r\nHost: x", "demo-a:\xff\xfe", "\xc3", ":", " ", "demo-a:" + strings.Repeat("é", 32),
}

func TestCodesSurviveTheURL(t *testing.T) {
	codes := nasty
	for b := range 256 {
		codes = append(codes, "demo-a:x"+string([]byte{byte(b)})+"y")
	}
	var uri atomic.Pointer[string]
	edge := scanedge.NewEdge(serve(t, func(w http.ResponseWriter, r *http.Request) {
		uri.Store(&r.RequestURI)
		say(200, "application/json", `{"issuer":"demo-a","status":"green","offset":1}`)(w, r)
	}), "key")
	for _, code := range codes {
		if _, err := edge.Scan(t.Context(), code); err != nil {
			t.Errorf("%q: %v", code, err)
			continue
		}
		raw, ok := strings.CutPrefix(*uri.Load(), "/v1/scan/")
		if got, err := url.PathUnescape(raw); !ok || err != nil || got != code {
			t.Errorf("%q arrives as %q", code, *uri.Load())
		}
		if strings.ContainsAny(raw, "/.?#+ ") {
			t.Errorf("%q leaves bare in %q what a proxy would clean", code, raw)
		}
		if raw != strings.TrimPrefix(scanedge.ScanPath(code), "/v1/scan/") {
			t.Errorf("%q is sent as %q, but ScanPath says %q", code, raw, scanedge.ScanPath(code))
		}
	}
	if got := scanedge.ScanPath("demo-a:d_~1"); got != "/v1/scan/demo-a:d_~1" {
		t.Errorf("a plain code becomes %s", got)
	}
}
