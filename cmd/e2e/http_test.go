package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"github.com/scanedge/scanedge/sync/enrol"
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
//	< 200                                    the answer's status,
//	< Content-Type: application/json         a header (nothing behind the colon: it is absent),
//	= {"status":"green","offset":#}          every line of its body, in order,
//	~ scanedge_scans_total{issuer="demo-a",outcome="red"} #     or some line of it. # is a number, * is anything
//	< 404 unknown-subject                    instead of "< 200": a problem of that type, its members and headers as they must be
//
// Servers are edge1, edge2 and origin; origin-tls, which is the origin's TLS listener, and origin-edge, which is the same as edge2 asks
// there; lone, which is an edge whose origin is not there, and the same with -admin for their
// admin listeners. No answer to a scan or of the origin's API may be kept by a cache: that is checked of every one.
type exchange struct {
	place, server, request string
	headers                []string
	body                   []bytesTimes
	gzip, hangUp, poll     bool
	times, cut             int

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
	secure := map[string]*tls.Config{"origin-tls": nobody, "origin-edge": id.Client()}
	addr := map[string]string{
		"origin": up.Origin, "origin-admin": up.OriginAdmin, "lone": lone.Scan, "lone-admin": lone.Admin,
		"origin-tls": up.OriginTLS, "origin-edge": up.OriginTLS,
		"edge1": up.Edges[0].Scan, "edge1-admin": up.Edges[0].Admin, "edge2": up.Edges[1].Scan, "edge2-admin": up.Edges[1].Admin,
	}
	vars := map[string]string{"PUSH_TOKEN": up.PushToken, "SCANNER_KEY": up.ScannerKey, "ADMIN_TOKEN": up.AdminToken,
		"JOIN": enrol.Token{URL: "https://127.0.0.1:1", Secret: strings.Repeat("X", 26)}.String()}
	vars["LIMITED_ID"], vars["LIMITED_TOKEN"] = makeToken(t, up, `{"kind":"push","name":"limited","issuers":["demo-a"],"rate":0.0001,"max_deltas":3}`)
	vars["GONE_ID"], vars["GONE_TOKEN"] = makeToken(t, up, `{"kind":"push","name":"gone"}`)
	for name, exchanges := range readExchanges(t, vars) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, e := range exchanges {
				_, at, _ := strings.Cut(addr[e.server], "://")
				e.play(t, at, secure[e.server])
			}
		})
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
	scanedge.NeedsApproval:  "over 1,000 subjects must change; cli/changes.txt changes them",
	scanedge.SameToken:      "a push must be held; cli/changes.txt has one held",
	scanedge.TooManyHeld:    "64 pushes must be held; the tests of sync/origin hold them",
	scanedge.TooFarBack:     "the log must be trimmed; the tests of sync/origin trim it",
	scanedge.NotEnrolled:    "an edge must be revoked; the tests of sync/origin revoke one",
	scanedge.TooStale:       "an origin must be away for long; the tests of edge say so",
	scanedge.LastAdmin:      "no other may be made meanwhile; the tests of sync/origin and the command line ask for it",
	scanedge.TooManyTokens:  "ten thousand must be made; the tests of sync/access have them",
	scanedge.NotReached:     "an edge must be behind; the tests of sync/origin have some",
	scanedge.SecretMissing:  "an origin must start without a file; the tests of sync/origin take it away",
	scanedge.NotWritten:     "a disk must fail; the tests of sync/origin take it away",
	scanedge.Overloaded:     "an edge must have more than it can do; TestFaultOverload gives it that",
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
			if vars != nil {
				line = os.Expand(line, func(name string) string { return vars[name] })
			}
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

// play sends the request and compares the answer.
func (e *exchange) play(t *testing.T, addr string, secure *tls.Config) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, body, err := e.ask(addr, secure)
		if err != nil {
			t.Fatalf("%s: %v", e.place, err)
		}
		wrong := e.compare(resp, string(body))
		if wrong == nil {
			return
		}
		if !e.poll || time.Now().After(deadline) {
			t.Errorf("%s: %s: %s\n%s\n%s %s\n%.2000s", e.place, e.server, e.request, strings.Join(wrong, "\n"), resp.Status, resp.Header, body)
			return
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
	return wrong
}

// like matches whole texts: # is a number, * is anything.
func like(pattern string) func(string) bool {
	pattern = strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*"), "#", "[0-9]+")
	return regexp.MustCompile("(?s)^" + pattern + "$").MatchString
}

// startLoneEdge starts an edge, with the identity of another, whose origin is not there and returns where its listeners are.
func startLoneEdge(t *testing.T, identity string) (at struct{ Scan, Admin string }) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "identity"), os.DirFS(identity)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "edge", "--origin", "https://127.0.0.1:1", "--dir", dir,
		"--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
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
