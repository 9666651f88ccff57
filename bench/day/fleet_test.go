package day

import (
	"bytes"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
	"github.com/scanedge/scanedge/edge/passcode"
)

func TestMain(m *testing.M) {
	// A HostClient's cleaner ends by itself, at its next look after the connections are closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

const (
	visits    = 600
	testKey   = "scanner-key"
	testToken = "push-token"
)

// fakeFleet is an origin and two edges that share one map: what they do by themselves is right. A test spoils it.
type fakeFleet struct {
	mu      sync.RWMutex
	records map[string]scanedge.Delta // by code
	offset  uint64                    // of every issuer
	pushed  map[string]bool           // every code that was ever pushed

	answers atomic.Uint64
	spoil   func(n uint64, ctx *fasthttp.RequestCtx) // called after the n-th answer of an edge is ready

	config Config
}

// newFleet starts a fleet with a population made by counting, not by the rule that the oracle uses.
func newFleet(t *testing.T, subjects uint64, spoil func(n uint64, ctx *fasthttp.RequestCtx)) *fakeFleet {
	f := &fakeFleet{records: map[string]scanedge.Delta{}, offset: 1, pushed: map[string]bool{}, spoil: spoil}
	issuers := []string{"demo-a", "demo-b"}
	for i := range subjects {
		number := i/2 + 1
		d := scanedge.Delta{Status: scanedge.Green}
		name := strconv.FormatUint(number, 10)
		switch two := "0" + name; two[len(two)-2:] {
		case "07":
			d.Status = scanedge.Yellow
		case "13":
			d.Status = scanedge.Red
		case "21":
			d.Status = scanedge.Void
		case "29":
			d.Until = time.Unix(0, 0)
		}
		f.records[issuers[i%2]+":d"+strings.Repeat("0", 9-len(name))+name] = d
	}
	f.config = Config{
		Origin:     serve(t, f.origin),
		PushToken:  testToken,
		Edges:      []load.Edge{{Name: "edge-1", URL: serve(t, f.edge)}, {Name: "edge-2", URL: serve(t, f.edge)}},
		ScannerKey: testKey,
		Population: Population{Issuers: issuers, Subjects: subjects},
		Seed:       1,
		Schedule:   load.Constant{N: visits, For: time.Second},
	}
	return f
}

func serve(t *testing.T, handler fasthttp.RequestHandler) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: handler, MaxIdleWorkerDuration: 50 * time.Millisecond, NoDefaultDate: true}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func (f *fakeFleet) edge(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("Cache-Control", "no-store")
	uri := string(ctx.Request.Header.RequestURI())
	switch {
	case string(ctx.Request.Header.Peek("Authorization")) != "Bearer "+testKey &&
		!(len(ctx.Request.Header.Peek("Authorization")) == 0 && strings.HasPrefix(uri, "/v1/scan/SE1.")):
		problem(ctx, scanedge.NoKey)
	case ctx.IsPost() && uri == "/v1/scan":
		ctx.SetContentType("application/x-ndjson")
		for line := range strings.Lines(string(ctx.PostBody())) {
			a := f.judge(strings.TrimRight(line, "\r\n"))
			_ = json.NewEncoder(ctx).Encode(a)
		}
	case ctx.IsGet() && strings.HasPrefix(uri, "/v1/scan/"):
		code, ok := decode(strings.TrimPrefix(uri, "/v1/scan/"))
		a := f.judge(code)
		if !ok {
			a.Error = scanedge.MalformedCode
		}
		if a.Error != "" {
			problem(ctx, a.Error)
			break
		}
		ctx.SetContentType("application/json")
		_ = json.NewEncoder(ctx).Encode(a)
	default:
		problem(ctx, scanedge.NotFound)
	}
	if f.spoil != nil {
		f.spoil(f.answers.Add(1), ctx)
	}
}

func problem(ctx *fasthttp.RequestCtx, word scanedge.ProblemType) {
	p := scanedge.NewProblem(word, "")
	ctx.SetStatusCode(p.Status)
	ctx.SetContentType("application/problem+json; charset=utf-8")
	ctx.SetBody(p.JSON())
}

// decode undoes percent-encoding once, strictly.
func decode(raw string) (code string, ok bool) {
	var b []byte
	for len(raw) > 0 {
		if raw[0] != '%' {
			b, raw = append(b, raw[0]), raw[1:]
			continue
		}
		if len(raw) < 3 {
			return "", false
		}
		n, err := strconv.ParseUint(raw[1:3], 16, 8)
		if err != nil {
			return "", false
		}
		b, raw = append(b, byte(n)), raw[3:]
	}
	return string(b), true
}

// judge says what the API promises of a decoded code.
func (f *fakeFleet) judge(code string) scanedge.Answer {
	if strings.HasPrefix(code, "SE1.") {
		return f.judgeRolling(code)
	}
	issuer, subject, colon := strings.Cut(code, ":")
	odd := func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') }
	if !colon || issuer == "" || len(issuer) > 16 || strings.ContainsFunc(issuer, odd) || subject == "" || len(subject) > 64 ||
		!utf8.ValidString(subject) || strings.ContainsFunc(subject, unicode.IsControl) {
		return scanedge.Answer{Error: scanedge.MalformedCode}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if issuer == "day-elsewhere" {
		return scanedge.Answer{Error: scanedge.IssuerNotHeld}
	}
	d, known := f.records[code]
	if !known {
		return scanedge.Answer{Error: scanedge.UnknownSubject}
	}
	v := scanedge.Verdict{Issuer: issuer, Status: d.Status, Until: d.Until, Offset: f.offset, AgeMS: new(int64)}
	if !d.Until.IsZero() {
		v.Status = scanedge.Lapsed
	}
	return scanedge.Answer{Verdict: v}
}

// judgeRolling says what a rolling code of the demo issuers is.
func (f *fakeFleet) judgeRolling(code string) scanedge.Answer {
	var c passcode.Code
	if !passcode.Parse([]byte(code), &c) {
		return scanedge.Answer{Error: scanedge.MalformedCode}
	}
	ring := passcode.Keyring{Keys: []passcode.Key{testCodeKeys[string(c.Issuer())]}, Window: 1}
	switch {
	case !ring.Verify(&c):
		return scanedge.Answer{Error: scanedge.ForgedCode}
	case ring.Standing(&c, time.Now().Unix()) != passcode.Current:
		return scanedge.Answer{Error: scanedge.CodeExpired}
	}
	return f.judge(string(c.Issuer()) + ":" + string(c.Subject()))
}

var testCodeKeys = CodeKeys{
	"demo-a": passcode.NewKey("demo-a", 3, bytes.Repeat([]byte{1}, 32)),
	"demo-b": passcode.NewKey("demo-b", 4, bytes.Repeat([]byte{2}, 32)),
}

func (f *fakeFleet) origin(ctx *fasthttp.RequestCtx) {
	issuer := strings.Split(string(ctx.Path()), "/")[3]
	if string(ctx.Request.Header.Peek("Authorization")) != "Bearer "+testToken {
		problem(ctx, scanedge.NoToken)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	count := 0
	for line := range bytes.Lines(ctx.PostBody()) {
		var d scanedge.Delta
		if err := json.Unmarshal(line, &d); err != nil {
			problem(ctx, scanedge.BadLines)
			return
		}
		code := issuer + ":" + d.Subject
		f.records[code], f.pushed[code] = d, true
		if d.Remove {
			delete(f.records, code)
		}
		count++
	}
	f.offset++
	ctx.SetContentType("application/json")
	_ = json.NewEncoder(ctx).Encode(scanedge.Receipt{Offset: f.offset, Count: count})
}
