package origin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type opening struct {
	route, method, path, body string
	may                       []string
}

// doors says who may do what: all routes, and the callers that get past the door. What they then find behind it is for other tests.
var doors = []opening{
	{"/v1/issuers/{issuer}/deltas", "POST", "/v1/issuers/demo-a/deltas", "subject,status\nx,red\n", []string{"push", "push for demo-a"}},
	{"/v1/issuers/{issuer}/deltas", "POST", "/v1/issuers/demo-b/deltas", "subject,status\nx,red\n", []string{"push"}},
	{"/v1/issuers/{issuer}/deltas", "POST", "/v1/issuers/demo-z/deltas", "subject,status\nx,red\n", []string{"push"}},
	{"/v1/issuers/{issuer}/pushes/{key}", "GET", "/v1/issuers/demo-a/pushes/k", "", []string{"push", "push for demo-a"}},
	{"/v1/issuers/{issuer}/pushes/{key}", "GET", "/v1/issuers/demo-b/pushes/k", "", []string{"push"}},
	{"/v1/issuers/{issuer}/records", "GET", "/v1/issuers/demo-a/records", "", []string{"push", "push for demo-a", "admin"}},
	{"/v1/issuers/{issuer}/records", "GET", "/v1/issuers/demo-b/records", "", []string{"push", "admin"}},
	{"/v1/issuers/{issuer}/snapshot", "GET", "/v1/issuers/demo-a/snapshot", "", []string{"edge"}},
	{"/v1/issuers/{issuer}/snapshots/{id}", "GET", "/v1/issuers/demo-a/snapshots/x", "", []string{"edge"}},
	{"/v1/issuers/{issuer}/log", "HEAD", "/v1/issuers/demo-a/log?after=0", "", []string{"edge"}},
	{"/v1/issuers/{issuer}/log", "HEAD", "/v1/issuers/demo-z/log?after=0", "", []string{"edge"}},
	{"/v1/edges/self/reports", "POST", reports, "{}", []string{"edge"}},
	{"/v1/status", "GET", "/v1/status", "", []string{"admin"}},
	{"/v1/issuers/{issuer}/offsets/{offset}", "GET", "/v1/issuers/demo-a/offsets/0", "", []string{"push", "push for demo-a", "admin"}},
	{"/v1/issuers/{issuer}/offsets/{offset}", "GET", "/v1/issuers/demo-b/offsets/0", "", []string{"push", "admin"}},
	{"/v1/issuers/{issuer}/offsets/{offset}", "GET", "/v1/issuers/demo-z/offsets/0", "", []string{"push", "admin"}},
	{"/v1/control", "GET", "/v1/control", "", []string{"edge"}},
	{"/v1/edges/self/renew", "POST", "/v1/edges/self/renew", "{}", []string{"edge"}},
	{"/v1/join", "POST", "/v1/join", "{}", everybody},
	{"/v1/edges", "GET", "/v1/edges", "", []string{"admin"}},
	{"/v1/edges/{name}", "GET", "/v1/edges/gate", "", []string{"admin"}},
	{"/v1/edges/{name}", "PUT", "/v1/edges/gate", "{}", []string{"admin"}},
	{"/v1/edges/{name}", "DELETE", "/v1/edges/gate", "", []string{"admin"}},
	{"/v1/issuers", "GET", "/v1/issuers", "", []string{"admin"}},
	{"/v1/issuers/{issuer}", "GET", "/v1/issuers/demo-a", "", []string{"admin"}},
	{"/v1/issuers/{issuer}", "PUT", "/v1/issuers/demo-a", "{}", []string{"admin"}},
	{"/v1/issuers/{issuer}", "PUT", "/v1/issuers/demo-c", "{}", []string{"admin"}},
	{"/v1/issuers/{issuer}/subjects/{subject}", "GET", "/v1/issuers/demo-a/subjects/x", "", []string{"admin"}},
	{"/v1/issuers/{issuer}/subjects/{subject}/secret", "GET", "/v1/issuers/demo-a/subjects/x/secret", "", []string{"admin"}},
	{"/v1/issuers/{issuer}/subjects/{subject}/secret", "GET", "/v1/issuers/demo-z/subjects/x/secret", "", []string{"admin"}},
	{"/v1/issuers/{issuer}/subjects/{subject}/codes", "POST", "/v1/issuers/demo-a/subjects/x/codes", "{}", []string{"admin"}},
	{"/v1/issuers/{issuer}/rollback", "POST", "/v1/issuers/demo-a/rollback", "{}", []string{"admin"}},
	{"/v1/issuers/{issuer}/held", "GET", "/v1/issuers/demo-a/held", "", []string{"push", "push for demo-a", "admin"}},
	{"/v1/issuers/{issuer}/held", "GET", "/v1/issuers/demo-b/held", "", []string{"push", "admin"}},
	{"/v1/issuers/{issuer}/held", "GET", "/v1/issuers/demo-z/held", "", []string{"push", "admin"}},
	{"/v1/issuers/{issuer}/held/{id}", "GET", "/v1/issuers/demo-a/held/x", "", []string{"push", "push for demo-a", "admin"}},
	{"/v1/issuers/{issuer}/held/{id}", "DELETE", "/v1/issuers/demo-b/held/x", "", []string{"push", "admin"}},
	{"/v1/issuers/{issuer}/held/{id}/approve", "POST", "/v1/issuers/demo-a/held/x/approve", "", []string{"push", "push for demo-a", "admin"}},
	{"/v1/issuers/{issuer}/held/{id}/approve", "POST", "/v1/issuers/demo-b/held/x/approve", "", []string{"push", "admin"}},
	{"/v1/issuers/{issuer}/code-keys", "GET", "/v1/issuers/demo-a/code-keys", "", []string{"admin"}},
	{"/v1/backup", "GET", "/v1/backup", "", []string{"admin"}},
	{"/v1/openapi.yaml", "GET", "/v1/openapi.yaml", "", everybody},
	{"/v1/tokens", "GET", "/v1/tokens", "", []string{"admin"}},
	{"/v1/tokens", "POST", "/v1/tokens", "{}", []string{"admin"}},
	{"/v1/tokens/{id}", "DELETE", "/v1/tokens/nobody", "", []string{"admin"}},
	{"/v1/tokens/{id}/rotate", "POST", "/v1/tokens/nobody/rotate", "", []string{"admin"}},
	{"/", "GET", "/", "", everybody},
}

var everybody = []string{"nobody", "push", "push for demo-a", "push for demo-z", "scan", "admin", "edge", "this machine",
	"revoked push", "revoked admin", "rotated admin", "no Bearer"}

func TestWhoMayDoWhat(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a", "demo-b")
	gone, late := makeToken(t, o, `{"kind":"push","name":"gone"}`), makeToken(t, o, `{"kind":"admin","name":"late"}`)
	turned := makeToken(t, o, `{"kind":"admin","name":"turned"}`)
	callers := map[string]string{
		"nobody": "", "push": o.tokens.Push, "scan": o.tokens.Scanner, "admin": o.tokens.Admin, "edge": "",
		"push for demo-a": makeToken(t, o, `{"kind":"push","name":"a","issuers":["demo-a"]}`).Token,
		"push for demo-z": makeToken(t, o, `{"kind":"push","name":"z","issuers":["other"]}`).Token,
		"revoked push":    gone.Token, "revoked admin": late.Token, "rotated admin": turned.Token,
		"this machine": "", "no Bearer": o.tokens.Admin,
	}
	order(t, o, 200, "DELETE", "/v1/tokens/"+gone.ID, "", nil)
	order(t, o, 200, "DELETE", "/v1/tokens/"+late.ID, "", nil)
	order(t, o, 200, "POST", "/v1/tokens/"+turned.ID+"/rotate", `{"overlap_s":0}`, nil)
	edge := asEdge(t, o)
	for _, d := range doors {
		for caller, token := range callers {
			ctx, cancel := context.WithCancel(t.Context())
			if d.route == "/v1/control" {
				cancel() // what has no end ends after its first line
			}
			req := httptest.NewRequestWithContext(ctx, d.method, d.path, strings.NewReader(d.body))
			req.Header.Set("Authorization", "Bearer "+token)
			switch caller {
			case "nobody":
				req.Header.Del("Authorization")
			case "this machine":
				req.RemoteAddr = "127.0.0.1:9"
			case "no Bearer":
				req.Header.Set("Authorization", "Basic "+token)
			}
			h := o.API()
			if caller == "edge" {
				h = edge
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			cancel()
			in := rec.Code != http.StatusUnauthorized && rec.Code != http.StatusForbidden
			if in != slices.Contains(d.may, caller) {
				t.Errorf("%s %s as %s: %d %.200s", d.method, d.path, caller, rec.Code, rec.Body)
			}
			if !in && !strings.Contains(rec.Body.String(), `"no-token"`) && !strings.Contains(rec.Body.String(), `"not-your-issuer"`) &&
				!strings.Contains(rec.Body.String(), `"no-edge"`) {
				t.Errorf("%s %s as %s is refused with %s", d.method, d.path, caller, rec.Body)
			}
		}
	}
}

// Every route that the code has is in the table.
func TestEveryDoorIsInTheTable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.Handle(?:Func)?\("([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
			found++
			if !slices.ContainsFunc(doors, func(d opening) bool { return d.route == m[1] }) {
				t.Errorf("%s: nobody has said who may use %s", file, m[1])
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d routes were found", found)
	}
}
