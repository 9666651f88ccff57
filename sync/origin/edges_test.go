package origin

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
)

// tlsOrigin is an origin with its TLS listener.
type tlsOrigin struct {
	*Origin
	t   *testing.T
	url string
}

func openTLS(t *testing.T, issuers ...string) *tlsOrigin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + l.Addr().String()
	o, err := Open(t.Context(), Config{
		Dir: t.TempDir(), Issuers: issuers, Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
		EdgesAt: url,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	server := &http.Server{Handler: o.API(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	o.Secure(server)
	served := make(chan struct{})
	go func() { _ = server.ServeTLS(l, "", ""); close(served) }()
	t.Cleanup(func() { server.Close(); <-served })
	return &tlsOrigin{o, t, url}
}

// asEdge is the API as an edge asks that may read everything, without the TLS of it.
func asEdge(t testing.TB, o *Origin) http.Handler {
	t.Helper()
	token, _, err := o.enrolled.registry.Enrol(fmt.Sprintf("test-%d", testEdges.Add(1)), []string{enrol.All}, nil, "https://h:1", false)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := o.enrolled.registry.Join(token, newCSR(t), "")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(answer.Certificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	api, chain := o.API(), []*x509.Certificate{cert}
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		req.TLS = &tls.ConnectionState{PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}
		api.ServeHTTP(rw, req)
	})
}

var testEdges atomic.Int64

// enrol enrols an edge as an operator does.
func (o *tlsOrigin) enrol(name, body string) enrol.Token {
	o.t.Helper()
	rec := call(o.API(), "PUT", "/v1/edges/"+name, o.tokens.Admin, body)
	var e scanedge.Enrolment
	if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || rec.Code != 201 {
		o.t.Fatalf("enrol %s: %d %s", name, rec.Code, rec.Body)
	}
	token, err := enrol.ParseToken(e.Token)
	if err != nil || e.Name != name || time.Until(e.Until) > enrol.TokenLife || time.Until(e.Until) < enrol.TokenLife-time.Minute {
		o.t.Fatalf("%+v: %v", e, err)
	}
	return token
}

// join makes an identity that is enrolled for issuers, with commas between.
func (o *tlsOrigin) join(name, issuers string) *enrol.Identity {
	o.t.Helper()
	token := o.enrol(name, fmt.Sprintf(`{"issuers":["%s"]}`, strings.ReplaceAll(issuers, ",", `","`)))
	id, err := enrol.Join(o.t.Context(), token, filepath.Join(o.t.TempDir(), "identity"), slog.New(slog.DiscardHandler))
	if err != nil {
		o.t.Fatal(err)
	}
	return id
}

// client asks with an identity, or with none.
func (o *tlsOrigin) client(id *enrol.Identity) *http.Client {
	c := &tls.Config{RootCAs: o.enrolled.ca.Pool(), ServerName: enrol.OriginName}
	if id != nil {
		c = id.Client()
	}
	return clientWith(o.t, c)
}

func clientWith(t *testing.T, c *tls.Config) *http.Client {
	tr := &http.Transport{TLSClientConfig: c}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// ask makes a request and returns status and problem type, or 0 and the error.
func (o *tlsOrigin) ask(client *http.Client, method, path, token, body string) (int, string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, o.url+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	var p scanedge.Problem
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	_ = json.Unmarshal(b, &p)
	return res.StatusCode, string(p.Type)
}

// callers are who may come to the TLS listener.
func (o *tlsOrigin) callers() map[string]struct {
	client *http.Client
	token  string
} {
	foreign := openTLS(o.t)
	one, revoked := o.join("one", "demo-a"), o.join("revoked", "demo-a")
	if rec := call(o.API(), "DELETE", "/v1/edges/revoked", o.tokens.Admin, ""); rec.Code != 200 {
		o.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	stranger := foreign.join("one", "*").Client()
	stranger.RootCAs = o.enrolled.ca.Pool() // so that it is the origin that refuses
	life := o.enrolled.ca.Life
	o.enrolled.ca.Life = time.Nanosecond
	expired := o.join("expired", "demo-a")
	o.enrolled.ca.Life = life
	return map[string]struct {
		client *http.Client
		token  string
	}{
		"nobody":      {o.client(nil), ""},
		"edge":        {o.client(one), ""},
		"other edge":  {o.client(o.join("other", "demo-b")), ""},
		"edge of all": {o.client(o.join("all", "*")), ""},
		"revoked":     {o.client(revoked), ""},
		"another CA":  {clientWith(o.t, stranger), ""},
		"expired":     {o.client(expired), ""},
		"push token":  {o.client(nil), o.tokens.Push},
		"admin token": {o.client(nil), o.tokens.Admin},
		"scanner key": {o.client(nil), o.tokens.Scanner},
	}
}

// Who may do what at the TLS listener: every route, every caller. An edge reads its issuers and publishes nothing.
func TestWhoMayDoWhatOverTLS(t *testing.T) {
	o := openTLS(t, "demo-a", "demo-b")
	pushOK(t, o.Origin, "demo-a", "subject,status\nx,green\n")
	f := take(t, o.Origin)
	callers := o.callers()
	refusals := map[string]string{ // to whom may not, where an edge may
		"nobody": "401 no-edge", "push token": "401 no-edge", "admin token": "401 no-edge", "scanner key": "401 no-edge",
		"revoked": "403 not-enrolled", "other edge": "403 not-your-issuer",
	}
	for _, r := range []struct {
		method, path, body string
		for_               string // who may
		answer             string
	}{
		{"HEAD", "/v1/control", "", "edge,other edge,edge of all", "200 "},
		{"HEAD", "/v1/issuers/demo-a/log?after=0", "", "edge,edge of all", "200 "},
		{"GET", "/v1/issuers/demo-a/log?after=x", "", "edge,edge of all", "400 bad-request"},
		{"GET", "/v1/issuers/demo-a/snapshot", "", "edge,edge of all", "200 "},
		{"GET", "/v1/issuers/demo-a/snapshots/" + f.ID, "", "edge,edge of all", "200 "},
		{"GET", "/v1/issuers/demo-a/snapshots/0", "", "edge,edge of all", "404 no-snapshot"},
		{"GET", "/v1/issuers/nowhere/log?after=0", "", "edge of all", "404 unknown-issuer"},
		{"GET", "/v1/issuers/nowhere/snapshot", "", "edge of all", "404 unknown-issuer"},
		{"GET", "/v1/issuers/demo-a%2F/snapshot", "", "edge of all", "404 unknown-issuer"},
		{"POST", reports, `{"offers":{"url":"https://h:1","snapshots":{}}}`, "edge,other edge,edge of all", "200 "},
		{"POST", reports, `{"issuers":[{"issuer":"demo-b","offset":9}]}`, "edge,other edge,edge of all", "200 "},
		{"POST", reports, `{"issuers":1}`, "edge,other edge,edge of all", "400 bad-request"},
		{"POST", "/v1/edges/other/reports", `{}`, "*", "404 not-found"},
		{"GET", "/v1/status", "", "admin token", "200 "},
		{"GET", "/v1/issuers/demo-a/offsets/1?edges=nobody", "", "push token,admin token", "404 unknown-edge"},
		{"POST", "/v1/issuers/demo-a/deltas", "subject,status\ny,red\n", "push token", "200 "},
		{"GET", "/v1/issuers/demo-a/records?after=0", "", "push token,admin token", "200 "},
		{"GET", "/v1/issuers/demo-a/pushes/unknown", "", "push token", "404 unknown-push"},
		{"GET", "/v1/issuers", "", "admin token", "200 "},
		{"PUT", "/v1/issuers/demo-a", "", "admin token", "200 "},
		{"PUT", "/v1/issuers/new", "", "admin token", "201 "},
		{"GET", "/v1/edges", "", "admin token", "200 "},
		{"GET", "/v1/edges/one", "", "admin token", "200 "},
		{"PUT", "/v1/edges/new", `{"issuers":["*"]}`, "admin token", "201 "},
		{"DELETE", "/v1/edges/nobody", "", "admin token", "404 unknown-edge"},
		{"POST", "/v1/edges/self/renew", `{"csr":"x"}`, "edge,other edge,edge of all", "400 bad-request"},
		{"POST", "/v1/join", `{"token":"x","csr":"x"}`, "*", "400 bad-request"},
		{"GET", "/v1/nothing", "", "*", "404 not-found"},
	} {
		for name, c := range callers {
			status, word := o.ask(c.client, r.method, r.path, c.token, r.body)
			got := fmt.Sprintf("%d %s", status, word)
			want := "401 no-token"
			switch {
			case name == "another CA" || name == "expired":
				if status != 0 || !strings.Contains(word, "tls: ") {
					t.Errorf("%s %s by %s: %s; want no connection", r.method, r.path, name, got)
				}
				continue
			case r.for_ == "*" || strings.Contains(","+r.for_+",", ","+name+","):
				want = r.answer
			case strings.Contains(r.for_, "edge"):
				if want = refusals[name]; name == "edge" || want == "" {
					want = "403 not-your-issuer" // as of an issuer that there is not
				}
			}
			if r.method == "HEAD" { // without a body there is no word
				want = want[:4]
			}
			if got != want {
				t.Errorf("%s %s by %s: %s, want %s", r.method, r.path, name, got, want)
			}
		}
	}
}

// Every stream has a connection of its own.
func TestTheTLSListenerSpeaksHTTP1(t *testing.T) {
	o := openTLS(t)
	for proto, good := range map[string]bool{"http/1.1": true, "h2": false} {
		c := &tls.Config{RootCAs: o.enrolled.ca.Pool(), ServerName: enrol.OriginName, NextProtos: []string{proto}}
		conn, err := tls.Dial("tcp", strings.TrimPrefix(o.url, "https://"), c)
		if err == nil {
			conn.Close()
		}
		if (err == nil) != good {
			t.Errorf("%s: %v", proto, err)
		}
	}
}

// An edge that is revoked loses its connections at once, also in the midst of an answer, and can't come back.
func TestRevokingCuts(t *testing.T) {
	o := openTLS(t, "demo-a", "demo-b")
	setFor(t, &controlEvery, time.Hour)
	streaming := make(chan struct{})
	ended := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", o.API())
	mux.HandleFunc("/stream/{issuer}", o.forEdges(func(rw http.ResponseWriter, req *http.Request) {
		defer close(ended)
		_ = http.NewResponseController(rw).Flush()
		close(streaming)
		<-req.Context().Done()
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	o.Secure(server)
	served := make(chan struct{})
	go func() { _ = server.ServeTLS(l, "", ""); close(served) }()
	defer func() { server.Close(); <-served }()
	o.url = "https://" + l.Addr().String()

	gate, stays := o.join("gate", "demo-a"), o.join("stays", "demo-a")
	client, other := o.client(gate), o.client(stays)
	res, err := client.Get(o.url + "/stream/demo-a")
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	defer res.Body.Close()
	<-streaming
	if status, word := o.ask(other, "POST", "/v1/edges/self/renew", "", "{}"); status != 400 {
		t.Errorf("%d %s", status, word)
	}
	if rec := call(o.API(), "DELETE", "/v1/edges/gate", o.tokens.Admin, ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"revoked"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the stream ends as if it was whole")
	}
	<-ended
	if status, word := o.ask(client, "POST", "/v1/edges/self/renew", "", "{}"); status != 403 || word != "not-enrolled" {
		t.Errorf("it is back: %d %s", status, word)
	}
	if status, word := o.ask(other, "POST", "/v1/edges/self/renew", "", "{}"); status != 400 {
		t.Errorf("another one was cut too: %d %s", status, word)
	}
	// What an edge is told names itself and its fellows, and its issuers alone.
	told := func(e *enrol.Identity) (c access.Control) {
		t.Helper()
		res, err := o.client(e).Get(o.url + "/v1/control")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := told(stays); len(c.Edges) != 1 || c.Edges["stays"] != stays.Key() || len(c.Issuers) != 1 || c.Issuers[0].ID != "demo-a" {
		t.Errorf("%+v", c)
	}
	// An edge of that name is another one.
	again := o.join("gate", "demo-a")
	if status, _ := o.ask(o.client(again), "POST", "/v1/edges/self/renew", "", "{}"); status != 400 {
		t.Error("enrolled anew, it is refused")
	}
	if status, word := o.ask(client, "POST", "/v1/edges/self/renew", "", "{}"); status != 403 || word != "not-enrolled" {
		t.Errorf("the old certificate is back: %d %s", status, word)
	}
	// To replace an edge cuts it too.
	res, err = o.client(again).Get(o.url + "/v1/control")
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	defer res.Body.Close()
	o.enrol("gate", `{"issuers":["demo-a"],"replace":true}`)
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the stream of one that was replaced ends as if it was whole")
	}
	client.CloseIdleConnections()
	other.CloseIdleConnections()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		o.enrolled.live.mu.Lock()
		n := len(o.enrolled.live.byEdge["gate"]) + len(o.enrolled.live.byEdge["stays"])
		o.enrolled.live.mu.Unlock()
		if n <= 1 { // that of the new one
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d connections are held that are gone", n)
		}
	}
}

// An edge offers to others what is of its issuers, and can't speak for others.
func TestAnEdgeOffersItsIssuers(t *testing.T) {
	o := openTLS(t, "demo-a", "demo-b")
	client := o.client(o.join("one", "demo-a"))
	body := `{"offers":{"url":"https://h:1","snapshots":{"demo-a":"1","demo-b":"1","nowhere":"1"}}}`
	if status, word := o.ask(client, "POST", reports, "", body); status != 200 {
		t.Fatalf("%d %s", status, word)
	}
	if kept, _ := o.fleet.get("one"); !maps.Equal(kept.last.Offers.Snapshots, map[string]string{"demo-a": "1"}) {
		t.Errorf("kept: %v", kept.last.Offers)
	}
	if a, b := o.fleet.sources("demo-a", "1", time.Now()), o.fleet.sources("demo-b", "1", time.Now()); len(a) != 1 || len(b) != 0 {
		t.Errorf("%v and %v", a, b)
	}
}

func TestEdgesForOperators(t *testing.T) {
	o := openTLS(t, "demo-a")
	ask := func(method, path, body string) string {
		rec := call(o.API(), method, path, o.tokens.Admin, body)
		var p scanedge.Problem
		_ = json.Unmarshal(rec.Body.Bytes(), &p)
		return fmt.Sprintf("%d %s", rec.Code, p.Type)
	}
	for _, c := range []struct{ method, path, body, want string }{
		{"PUT", "/v1/edges/gate", `{"issuers":["demo-a"],"hosts":["gate.example","192.0.2.1"]}`, "201 "},
		{"PUT", "/v1/edges/gate", `{"issuers":["demo-a"]}`, "409 edge-exists"},
		{"PUT", "/v1/edges/gate", `{"issuers":["demo-a"],"replace":true}`, "201 "},
		{"GET", "/v1/edges/gate", "", "200 "},
		{"GET", "/v1/edges/nobody", "", "404 unknown-edge"},
		{"DELETE", "/v1/edges/nobody", "", "404 unknown-edge"},
		{"DELETE", "/v1/edges/gate", "", "200 "},
		{"DELETE", "/v1/edges/gate", "", "200 "},
		{"PUT", "/v1/edges/gate", `{"issuers":["demo-a"]}`, "201 "},
		{"PUT", "/v1/edges/x", `{}`, "400 bad-request"},
		{"PUT", "/v1/edges/x", `{"issuers":[]}`, "400 bad-request"},
		{"PUT", "/v1/edges/x", `{"issuers":["*","demo-a"]}`, "400 bad-request"},
		{"PUT", "/v1/edges/x", `{"issuers":["GZ"]}`, "400 bad-request"},
		{"PUT", "/v1/edges/x", `{"issuers":["nowhere"]}`, "404 unknown-issuer"},
		{"PUT", "/v1/edges/x", `{"issuers":["demo-a"],"hosts":["scanedge-origin"]}`, "400 bad-request"},
		{"PUT", "/v1/edges/x", `{"issuers":["demo-a"],"hosts":["*.example"]}`, "400 bad-request"},
		{"PUT", "/v1/edges/x", `{"issuer":["demo-a"]}`, "400 bad-request"},
		{"PUT", "/v1/edges/scanedge-origin", `{"issuers":["demo-a"]}`, "400 bad-request"},
		{"PUT", "/v1/edges/X", `{"issuers":["demo-a"]}`, "400 bad-request"},
		{"POST", "/v1/edges/x", "", "405 method-not-allowed"},
		{"POST", "/v1/edges", "", "405 method-not-allowed"},
		{"POST", "/v1/join", "{}", "400 bad-request"}, // not over TLS
	} {
		if got := ask(c.method, c.path, c.body); got != c.want {
			t.Errorf("%s %s %s: %s, want %s", c.method, c.path, c.body, got, c.want)
		}
	}
	var list struct{ Edges []enrol.Edge }
	rec := call(o.API(), "GET", "/v1/edges", o.tokens.Admin, "")
	if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil || len(list.Edges) != 1 || list.Edges[0].Name != "gate" || list.Edges[0].Key != "" {
		t.Errorf("%s, %v", rec.Body, err)
	}
}

// Tokens that open nothing, each with its own answer.
func TestJoinTokens(t *testing.T) {
	o, foreign := openTLS(t, "demo-a"), openTLS(t, "demo-a")
	client := o.client(nil)
	used := o.enrol("used", `{"issuers":["demo-a"]}`)
	if _, err := enrol.Join(t.Context(), used, filepath.Join(t.TempDir(), "identity"), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	revoked := o.enrol("revoked", `{"issuers":["demo-a"]}`)
	call(o.API(), "DELETE", "/v1/edges/revoked", o.tokens.Admin, "")
	good := o.enrol("good", `{"issuers":["demo-a"]}`).String()
	if rec := call(o.API(), "POST", "/v1/join", "", "{}"); rec.Code != 400 || !strings.Contains(rec.Body.String(), "TLS") {
		t.Errorf("without TLS: %d %s", rec.Code, rec.Body)
	}
	for name, c := range map[string]struct{ token, csr, want, why string }{
		"used":      {used.String(), newCSR(t), "403 bad-join-token", "another machine has used it"},
		"revoked":   {revoked.String(), newCSR(t), "403 bad-join-token", "does not know it"},
		"foreign":   {foreign.enrol("gate", `{"issuers":["demo-a"]}`).String(), newCSR(t), "403 bad-join-token", "another origin"},
		"malformed": {good[:len(good)-1], newCSR(t), "400 bad-request", "cut short"},
		"no token":  {"", newCSR(t), "400 bad-request", "the token is none"},
		"no CSR":    {good, "", "400 bad-request", "PEM"},
		"good":      {good, newCSR(t), "200 ", ""},
	} {
		body, _ := json.Marshal(enrol.Request{Token: c.token, CSR: c.csr})
		res, err := client.Post(o.url+"/v1/join", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var p scanedge.Problem
		err = json.NewDecoder(res.Body).Decode(&p)
		res.Body.Close()
		if got := fmt.Sprintf("%d %s", res.StatusCode, p.Type); name != "good" && got != c.want || err != nil || !strings.Contains(p.Detail, c.why) {
			t.Errorf("%s: %s %s, %v", name, got, p.Detail, err)
		}
	}
}

func newCSR(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, cerr := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err := errors.Join(err, cerr); err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// A kept connection does not outlive the certificate that it was opened with: after a renewal its next answer is its last.
func TestARenewedEdgeConnectsAnew(t *testing.T) {
	o := openTLS(t, "demo-a")
	o.enrolled.ca.Life = 2 * time.Second
	id := o.join("gate", "demo-a")
	client := o.client(id)
	o.enrolled.ca.Life = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	end := id.Ends()
	ask := func() {
		t.Helper()
		if status, word := o.ask(client, "POST", "/v1/edges/self/renew", "", "{}"); status != 400 {
			t.Fatalf("%d %s", status, word)
		}
	}
	ask()
	go func() { id.Keep(ctx, o.url, slog.New(slog.DiscardHandler)); close(done) }()
	defer func() { cancel(); <-done }()
	for time.Now().Before(end.Add(100 * time.Millisecond)) {
		ask()
		time.Sleep(5 * time.Millisecond)
	}
	if !id.Ends().After(end) {
		t.Error("it was not renewed")
	}
}
