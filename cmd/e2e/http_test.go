package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/ed25519"
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
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/enrol"
	"github.com/scanedge/scanedge/sync/issuer"
)

// The HTTP contract is in testdata/http: exchanges, one after another, each begun by its request line.
//
//	# A comment.
//	edge1: GET /v1/scan/demo-a:d000000001    the server and the request line, sent byte for byte; HTTP/1.1 is added
//	> Authorization: Bearer $SCANNER_KEY     a header of the request
//	| subject,status                         a line of its body, ended by LF
//	| "guest,red\r\n"                        or bytes as in a Go string, not ended by anything
//	| 1000001 x "guest,red\n"                or such bytes that many times
//	* gzip                                   the body is compressed
//	* times 4097                             the body, compressed or not, is sent so many times in a row
//	* cut 8                                  the last 8 bytes of what would be sent as the body are not
//	* hang up                                nothing will ever follow the body
//	* poll                                   it is asked again until the answer is right, for 10 s
//	* keep HELD "id":"(.*?)"                 what the answer has in the parentheses is $HELD in all that comes later in the file
//	< 200                                    the answer's status,
//	< Content-Type: application/json         a header (nothing behind the colon: it is absent),
//	= {"status":"green","offset":#}          every line of its body, in order,
//	~ scanedge_scans_total{issuer="demo-a",outcome="red"} #     or some line of it. # is a number, * is anything
//	< 404 unknown-subject                    instead of "< 200": a problem of that type, its members and headers as they must be
//
// Servers are edge1, edge2 and origin; origin-tls, which is the origin's TLS listener, and origin-edge, which is the same as edge2 asks
// there, origin-some, as an edge asks that may read demo-b alone; lone, which is an edge whose origin is not there, and the same with -admin for their
// admin listeners. No answer to a scan or of the origin's API may be kept by a cache: that is checked of every one. So is that each request
// and answer is in the OpenAPI document that the server itself gives away; and at the end, that each answer of that document occurred.
type exchange struct {
	place, server, request string
	headers                []string
	body                   []bytesTimes
	contract               *contract // of the server
	gzip, hangUp, poll     bool
	times, cut             int
	keep                   string         // the variable that is taken from the answer
	kept                   *regexp.Regexp // its place there

	status      int
	problem     scanedge.ProblemType
	wantHeaders []string
	all, some   []string // lines of the body
}

type bytesTimes struct {
	bytes string
	times int
}

// byStatus are headers without which a problem is of little use.
var byStatus = map[int][]string{
	http.StatusUnauthorized:       {"WWW-Authenticate: Bearer"},
	http.StatusServiceUnavailable: {"Retry-After: 1"},
}

func TestHTTPContract(t *testing.T) {
	f, dir := startFleet(t, 2000)
	identity := filepath.Join(dir, "edge-2", "identity")
	up, lone := f.Up(), startLoneEdge(t, identity)
	id, err := enrol.Load(identity)
	if err != nil {
		t.Fatal(err)
	}
	nobody := id.Client()
	nobody.GetClientCertificate = nil
	some, renewal := joinEdge(t, up)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secure := map[string]*tls.Config{"origin-tls": nobody, "origin-edge": id.Client(), "origin-some": some}
	addr := map[string]string{
		"origin": up.Origin, "origin-admin": up.OriginAdmin, "lone": lone.Scan, "lone-admin": lone.Admin,
		"origin-tls": up.OriginTLS, "origin-edge": up.OriginTLS, "origin-some": up.OriginTLS,
		"edge1": up.Edges[0].Scan, "edge1-admin": up.Edges[0].Admin, "edge2": up.Edges[1].Scan, "edge2-admin": up.Edges[1].Admin,
	}
	vars := map[string]string{"PUSH_TOKEN": up.PushToken, "SCANNER_KEY": up.ScannerKey, "ADMIN_TOKEN": up.AdminToken,
		"JOIN": enrol.Token{URL: "https://127.0.0.1:1", Secret: strings.Repeat("X", 26)}.String(), "RENEWAL": renewal, "CSR": requestFor(t, key)}
	vars["LIMITED_ID"], vars["LIMITED_TOKEN"] = makeToken(t, up, `{"kind":"push","name":"limited","issuers":["demo-a"],"rate":0.0001,"max_deltas":3}`)
	_, vars["SLOW_KEY"] = makeToken(t, up, `{"kind":"scan","name":"slow","rate":0.01,"burst":2}`)
	_, vars["THIEF_KEY"] = makeToken(t, up, `{"kind":"scan","name":"thief"}`)
	vars["GONE_ID"], vars["GONE_TOKEN"] = makeToken(t, up, `{"kind":"push","name":"gone"}`)
	maps.Copy(vars, makeCodes(t, filepath.Join(dir, "origin", "issuers", "demo-a.json")))
	edge, origin := fetchContract(t, "edge", up.Edges[0].Scan), fetchContract(t, "origin", up.Origin)
	t.Run("exchanges", func(t *testing.T) {
		for name, exchanges := range readExchanges(t, vars) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				kept := map[string]string{}
				for _, e := range exchanges {
					e.use(kept)
					_, at, _ := strings.Cut(addr[e.server], "://")
					e.contract = edge
					if strings.HasPrefix(e.server, "origin") {
						e.contract = origin
					}
					if answer := e.play(t, at, secure[e.server]); e.keep != "" {
						kept[e.keep] = string(e.kept.FindSubmatch(answer)[1])
					}
				}
			})
		}
	})
	for _, c := range []*contract{edge, origin} {
		for _, wrong := range c.unseen() {
			t.Error(wrong)
		}
	}
}

// joinEdge enrols an edge that may read demo-b alone and joins as it. It returns what that edge asks the origin with, and the request for a
// certificate that its key makes, as a JSON string has it.
func joinEdge(t *testing.T, up fleet.Up) (*tls.Config, string) {
	t.Helper()
	var made scanedge.Enrolment
	op := scanedge.NewOperator(up.Origin, up.AdminToken)
	order := json.RawMessage(`{"issuers":["demo-b"]}`)
	if err := op.Call(t.Context(), "enrol an edge", http.MethodPut, "/v1/edges/http-some", order, &made); err != nil {
		t.Fatal(err)
	}
	token, err := enrol.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "identity")
	id, err := enrol.Join(t.Context(), token, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return id.Client(), requestFor(t, key)
}

// requestFor is a key's request for a certificate, as it stands in a JSON string.
func requestFor(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return strings.ReplaceAll(string(csr), "\n", `\n`)
}

// makeCodes makes codes of demo-a's d000000001, which is green, as a phone and a printer would: with the secrets of the issuer's file.
func makeCodes(t *testing.T, file string) map[string]string {
	t.Helper()
	secret, err := issuer.Load(file, "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	subject, now := []byte("d000000001"), time.Now().Unix()
	step := passcode.Step(now + passcode.StepSeconds - 1) // the next, which is good from now on, so that the test has the time that it needs
	newest := secret.CodeKeys()[0]
	key, other := passcode.NewKey("demo-a", newest.ID, newest.Key), passcode.NewKey("demo-a", newest.ID, make([]byte, 32))
	roll := func(k passcode.Key, id byte, step uint32) string {
		s := k.Secret(subject)
		return s.Mint("demo-a", id, subject, step)
	}
	at := func(seconds int64) uint32 { return uint32(now + seconds) }
	sign := func(from, until int64) string {
		return passcode.Sign(secret.Key, "demo-a", subject, at(from), at(until))
	}
	stranger := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return map[string]string{
		"ROLLING": roll(key, newest.ID, step), "ROLLING_AGAIN": roll(key, newest.ID, step-1), "ROLLING_PAST": roll(key, newest.ID, step-10), "ROLLING_AHEAD": roll(key, newest.ID, step+10),
		"ROLLING_FORGED": roll(other, newest.ID, step), "ROLLING_UNKNOWN_KEY": roll(key, newest.ID+1, step),
		"SIGNED": sign(-60, 3600), "SIGNED_PAST": sign(-3600, -60), "SIGNED_EARLY": sign(3600, 7200),
		"SIGNED_FORGED": passcode.Sign(stranger, "demo-a", subject, at(-60), at(3600)),
	}
}

// makeToken makes a token as the order says.
func makeToken(t *testing.T, up fleet.Up, order string) (id, token string) {
	t.Helper()
	var made struct{ ID, Token string }
	op := scanedge.NewOperator(up.Origin, up.AdminToken)
	if err := op.Call(t.Context(), "make a token", http.MethodPost, "/v1/tokens", json.RawMessage(order), &made); err != nil {
		t.Fatal(err)
	}
	return made.ID, made.Token
}

// notScripted are the problems that no exchange can provoke, each with the reason.
var notScripted = map[scanedge.ProblemType]string{
	scanedge.LogUnavailable: "the log must break; the tests of sync/origin break it",
	scanedge.LogFull:        "a disk must be full; the tests of sync/origin fill one",
	scanedge.Trimmed:        "the log must be trimmed, which takes hours; the tests of sync/origin trim it",
	scanedge.Busy:           "transfers must be under way; the tests of sync/snapshot hold some",
	scanedge.TooManyHeld:    "64 pushes must be held; the tests of sync/origin hold them",
	scanedge.TooFarBack:     "the log must be trimmed; the tests of sync/origin trim it",
	scanedge.NotEnrolled:    "an edge must be revoked; the tests of sync/origin revoke one",
	scanedge.TooStale:       "an origin must be away for long; the tests of edge say so",
	scanedge.LastAdmin:      "no other may be made meanwhile; the tests of sync/origin and the command line ask for it",
	scanedge.TooManyTokens:  "ten thousand must be made; the tests of sync/access have them",
	scanedge.SecretMissing:  "an origin must start without a file; the tests of sync/origin take it away",
	scanedge.Overloaded:     "an edge must have more to do than it can; the tests of edge have some",
	scanedge.NotWritten:     "a disk must fail; the tests of sync/origin take it away",
}

func TestHTTPContractNamesEveryProblem(t *testing.T) {
	scripted := map[scanedge.ProblemType]bool{}
	for _, exchanges := range readExchanges(t, nil) {
		for _, e := range exchanges {
			scripted[e.problem] = true
		}
	}
	source, err := os.ReadFile("../../problem.go")
	if err != nil {
		t.Fatal(err)
	}
	types := regexp.MustCompile(`\bProblemType += "(.*)"`).FindAllSubmatch(source, -1)
	if len(types) < 10 {
		t.Fatalf("problem.go has only %d problem types", len(types))
	}
	for _, m := range types {
		p := scanedge.ProblemType(m[1])
		if _, excused := notScripted[p]; scripted[p] == excused {
			t.Errorf("%s: provoked by an exchange: %v, excused: %v", p, scripted[p], excused)
		}
	}
}

// readExchanges reads the contract, a list a file. Without vars, variables are left as they are.
func readExchanges(t *testing.T, vars map[string]string) map[string][]*exchange {
	t.Helper()
	files, err := filepath.Glob("testdata/http/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no exchanges in testdata/http: ", err)
	}
	all := map[string][]*exchange{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		for i, line := range strings.Split(string(text), "\n") {
			place := fmt.Sprintf("%s:%d", file, i+1)
			line = expand(line, vars)
			if line == "" || line[0] == '#' {
				continue
			}
			if m := requestLine.FindStringSubmatch(line); m != nil {
				all[name] = append(all[name], &exchange{place: place, server: m[1], request: m[2]})
			} else if n := len(all[name]); n == 0 {
				t.Fatalf("%s: a file begins with a request line", place)
			} else if err := all[name][n-1].add(line); err != nil {
				t.Fatalf("%s: %q: %v", place, line, err)
			}
		}
	}
	return all
}

// expand puts the values of variables into a text. What has none yet stays.
func expand(text string, vars map[string]string) string {
	return os.Expand(text, func(name string) string {
		if value, ok := vars[name]; ok {
			return value
		}
		return "$" + name
	})
}

// use puts the values of variables into what was read before they had one.
func (e *exchange) use(vars map[string]string) {
	for _, text := range [][]string{e.headers, e.wantHeaders, e.all, e.some} {
		for i := range text {
			text[i] = expand(text[i], vars)
		}
	}
	for i := range e.body {
		e.body[i].bytes = expand(e.body[i].bytes, vars)
	}
	e.request = expand(e.request, vars)
}

var (
	requestLine = regexp.MustCompile(`^([a-z0-9-]+): (.+)$`)
	quotedBytes = regexp.MustCompile(`^(?:(\d+) x )?(".*")$`)
)

// add takes a line behind the request line.
func (e *exchange) add(line string) (err error) {
	kind, rest, _ := strings.Cut(line, " ")
	switch {
	case kind == ">":
		e.headers = append(e.headers, rest)
	case kind == "|":
		part := bytesTimes{rest + "\n", 1}
		if m := quotedBytes.FindStringSubmatch(rest); m != nil {
			part.bytes, err = strconv.Unquote(m[2])
			part.times, _ = strconv.Atoi("0" + m[1])
			part.times = max(part.times, 1)
		}
		e.body = append(e.body, part)
	case line == "* gzip":
		e.gzip = true
	case line == "* hang up":
		e.hangUp = true
	case line == "* poll":
		e.poll = true
	case strings.HasPrefix(line, "* keep "):
		name, pattern, _ := strings.Cut(line[len("* keep "):], " ")
		e.keep = name
		e.kept, err = regexp.Compile(pattern)
	case strings.HasPrefix(line, "* times "):
		e.times, err = strconv.Atoi(line[len("* times "):])
	case strings.HasPrefix(line, "* cut "):
		e.cut, err = strconv.Atoi(line[len("* cut "):])
	case kind == "<" && e.status == 0:
		status, problem, _ := strings.Cut(rest, " ")
		e.problem = scanedge.ProblemType(problem)
		e.status, err = strconv.Atoi(status)
	case kind == "<":
		e.wantHeaders = append(e.wantHeaders, rest)
	case kind == "=":
		e.all = append(e.all, rest)
	case kind == "~":
		e.some = append(e.some, rest)
	default:
		err = errors.New("no such kind of line")
	}
	return err
}

// play sends the request, compares the answer and returns its body.
func (e *exchange) play(t *testing.T, addr string, secure *tls.Config) []byte {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, body, err := e.ask(addr, secure)
		if err != nil {
			t.Fatalf("%s: %v", e.place, err)
		}
		wrong := e.compare(resp, string(body))
		against := e.contract.judge(e, resp, body, wrong == nil)
		if wrong = append(wrong, against...); wrong == nil {
			return body
		}
		if !e.poll || against != nil || time.Now().After(deadline) {
			t.Errorf("%s: %s: %s\n%s\n%s %s\n%.2000s", e.place, e.server, e.request, strings.Join(wrong, "\n"), resp.Status, resp.Header, body)
			return body
		}
	}
}

// ask sends the request as it is written, with what HTTP can't do without, and reads the answer while it still sends.
func (e *exchange) ask(addr string, secure *tls.Config) (*http.Response, []byte, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	if secure != nil {
		conn = tls.Client(conn, secure)
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	body := e.payload()
	head := append([]string{e.request + " HTTP/1.1", "Host: " + addr, "Connection: close"}, e.headers...)
	framed := regexp.MustCompile(`(?mi)^(content-length|transfer-encoding):`).MatchString(strings.Join(head, "\n"))
	if !framed && (strings.HasPrefix(e.request, "POST") || strings.HasPrefix(e.request, "PUT")) {
		head = append(head, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	go func() { // what goes wrong here shows in the answer
		_, _ = io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n")
		_, _ = conn.Write(body)
		if e.hangUp {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	method, _, _ := strings.Cut(e.request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

func (e *exchange) payload() []byte {
	var body bytes.Buffer
	to, finish := io.Writer(&body), func() error { return nil }
	if e.gzip {
		z := gzip.NewWriter(&body)
		to, finish = z, z.Close
	}
	for _, part := range e.body {
		_, _ = io.WriteString(to, strings.Repeat(part.bytes, part.times))
	}
	_ = finish()
	all := bytes.Repeat(body.Bytes(), max(1, e.times))
	return all[:len(all)-e.cut]
}

// compare says what is wrong with an answer.
func (e *exchange) compare(resp *http.Response, body string) (wrong []string) {
	complain := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	if resp.StatusCode != e.status {
		complain("status %d, not %d", resp.StatusCode, e.status)
	}
	headers := e.wantHeaders
	if !strings.HasSuffix(e.server, "-admin") {
		headers = append([]string{"Cache-Control: no-store"}, headers...)
	}
	if e.problem != "" {
		headers = slices.Concat([]string{"Content-Type: application/problem+json"}, byStatus[e.status], headers)
		var p scanedge.Problem
		err := json.Unmarshal([]byte(body), &p)
		if want := scanedge.NewProblem(e.problem, p.Detail); err != nil || p.Type != want.Type || p.Title != want.Title || p.Status != e.status {
			complain("no such problem as %s", want.JSON())
		}
	}
	for _, h := range headers {
		name, want, _ := strings.Cut(h, ":")
		if got := resp.Header.Get(name); !like(strings.TrimSpace(want))(got) {
			complain("header %s is %q, not like %q", name, got, want)
		}
	}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if e.all != nil && len(e.all) != len(lines) {
		complain("%d lines, not %d", len(lines), len(e.all))
	}
	for i, want := range e.all[:min(len(e.all), len(lines))] {
		if !like(want)(lines[i]) {
			complain("line %d is not like %s", i+1, want)
		}
	}
	for _, want := range e.some {
		if !slices.ContainsFunc(lines, like(want)) {
			complain("no line is like %s", want)
		}
	}
	if e.kept != nil && !e.kept.MatchString(body) {
		complain("nothing in it is like %s", e.kept)
	}
	return wrong
}

// like matches whole texts: # is a number, * is anything.
func like(pattern string) func(string) bool {
	pattern = strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*"), "#", "[0-9]+")
	return regexp.MustCompile("(?s)^" + pattern + "$").MatchString
}

// startLoneEdge starts an edge, with the identity of another, whose origin is not there and that pages of https://gate.example may ask. It returns
// where its listeners are.
func startLoneEdge(t *testing.T, identity string) (at struct{ Scan, Admin string }) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "identity"), os.DirFS(identity)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "edge", "--origin", "https://127.0.0.1:1", "--dir", dir,
		"--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--cors-origins", "https://gate.example")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error("the lone edge:", err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(filepath.Join(dir, "listening.json")); err == nil && json.Unmarshal(b, &at) == nil {
			return at
		}
	}
	t.Fatal("the lone edge did not listen")
	return at
}
