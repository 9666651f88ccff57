package origin

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// Every route that reads a small body refuses what is no single object of its own members, and says which it expects.
func TestSmallBodiesThatAreRefused(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	made := makeToken(t, o, `{"kind":"scan","name":"gate 1"}`)
	edge := asEdge(t, o)
	routes := []struct {
		method, path     string
		most             int
		number, expected string // a member that is none, and what is named in its place
	}{
		{"POST", "/v1/tokens", maxOrder, `{"kind":1}`, `{"kind":"push","name":"NAME"}`},
		{"POST", "/v1/tokens/" + made.ID + "/rotate", maxOrder, `{"overlap_s":"1"}`, `{"overlap_s":SECONDS}`},
		{"PUT", "/v1/issuers/demo-a", maxOrder, `{"plain":1}`, `{"max_stale_s":SECONDS,"plain":true}`},
		{"PUT", "/v1/issuers/demo-c", maxOrder, `{"plain":1}`, `{"max_stale_s":SECONDS,"plain":true}`},
		{"POST", "/v1/issuers/demo-a/rollback", maxOrder, `{"to":-1}`, `{"to":OFFSET,"dry_run":true}`},
		{"PUT", "/v1/edges/gate", maxEdgeBody, `{"issuers":"*"}`, `{"issuers":["gz"],"hosts":["HOST"]}`},
		{"POST", "/v1/edges/self/renew", maxEdgeBody, `{"csr":1}`, `{"csr":"BASE64"}`},
		{"POST", "/v1/join", maxEdgeBody, `{"csr":[]}`, `{"token":"TOKEN","csr":"BASE64"}`},
	}
	for _, r := range routes {
		for _, c := range []struct {
			body string
			word scanedge.ProblemType
			part string
		}{
			{`{} {}`, scanedge.BadRequest, "something follows"},
			{`{}x`, scanedge.BadRequest, "something follows"},
			{`{"colour":"blue"}`, scanedge.BadRequest, `unknown field "colour"`},
			{`[{}]`, scanedge.BadRequest, "not a JSON object"},
			{`null`, scanedge.BadRequest, "not a JSON object"},
			{`{"colour`, scanedge.BadRequest, "cut short"},
			{r.number, scanedge.BadRequest, "belongs"},
			{strings.Repeat(" ", r.most) + `{}`, scanedge.TooLarge, "one JSON object of up to"},
			{`{}` + strings.Repeat(" ", r.most-1), scanedge.TooLarge, "one JSON object of up to"},
		} {
			h := o.API()
			if strings.HasPrefix(r.path, "/v1/edges/self") || r.path == "/v1/join" {
				h = edge
			}
			parts := []string{c.part}
			if c.word == scanedge.BadRequest {
				parts = append(parts, r.expected)
			}
			t.Logf("%s %s %.40s", r.method, r.path, c.body)
			refused(t, call(h, r.method, r.path, o.tokens.Admin, c.body), c.word, parts...)
		}
	}
	if o.writer("demo-c") != nil {
		t.Error("an issuer was made by what is none")
	}
}

// As much as is read at most is read, and an empty body is an empty object.
func TestSmallBodiesUpToTheirLimit(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	order(t, o, 200, "PUT", "/v1/issuers/demo-a", `{}`+strings.Repeat(" ", maxOrder-2), nil)
	order(t, o, 200, "PUT", "/v1/issuers/demo-a", "", nil)
	order(t, o, 201, "PUT", "/v1/edges/gate", `{"issuers":["*"]}`+strings.Repeat("\n", maxEdgeBody-17), nil)
}

// An operator's order that never comes is not waited for.
func TestASmallBodyThatNeverComes(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	defer func(d time.Duration) { slowBody = d }(slowBody)
	slowBody = 50 * time.Millisecond
	server := httptest.NewServer(o.API())
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a hang is a failure
	_, _ = conn.Write([]byte("POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nAuthorization: Bearer " + o.tokens.Admin + "\r\n\r\n{"))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var p scanedge.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || p.Type != scanedge.BodyCut {
		t.Errorf("%v %+v", err, p)
	}
}

// A request that is refused is answered though its body never comes; one whose body came leaves the connection as good as it was.
func TestRefusedBeforeTheBody(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	s := httptest.NewServer(o.API())
	defer s.Close()
	for _, target := range []string{
		"POST /v1/tokens", "PUT /v1/issuers/demo-a", "POST /v1/issuers/demo-a/deltas", "POST /v1/issuers/nobody/deltas", "POST /v1/nowhere", "POST /v1//tokens",
		"DELETE /v1/issuers/demo-a/deltas", "POST /v1/edges/self/renew", "POST /v1/edges/self/reports", "GET /v1/issuers",
	} {
		for _, body := range []string{"Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n", "Content-Length: 2\r\n\r\n{}"} {
			c, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(slowBody / 2))
			in := bufio.NewReader(c)
			whole := strings.HasSuffix(body, "{}")
			for range map[bool]int{false: 1, true: 2}[whole] {
				if _, err := c.Write([]byte(target + " HTTP/1.1\r\nHost: origin\r\n" + body)); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Errorf("%s, %q: %v", target, body, err)
					break
				}
				_, _ = io.Copy(io.Discard, res.Body)
				if res.StatusCode < 400 {
					t.Errorf("%s, %q: %s", target, body, res.Status)
				}
				if res.Close {
					if whole && !strings.HasSuffix(target, "reports") && target != "POST /v1/edges/self/renew" {
						t.Errorf("%s: the connection is closed after a body that came", target)
					}
					break
				}
			}
		}
	}
}
