package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	jsonexp "github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
)

func TestBatch(t *testing.T) {
	conn := dial(t, serving(t))
	body := "demo-a:g\r\nnocolon\n\ndemo-a:%67\ndemo-a:none\ndemo-c:g\ndemo-b:g\ndemo-a:old\ndemo-a:a b"
	words := []string{"green", "malformed-code", "malformed-code", "unknown-subject", "unknown-subject", "issuer-not-held", "not-ready", "lapsed", "green"}
	for _, end := range []string{"", "\n"} {
		res, out := ask(t, conn, "POST /v1/scan", body+end, auth, "Accept: text/plain")
		if out != strings.Join(words, "\n")+"\n" || res.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("as text: %q", out)
		}
		res, out = ask(t, conn, "POST /v1/scan", body+end, auth)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if res.StatusCode != 200 || len(lines) != len(words) || res.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("%s %q", res.Status, out)
		}
		for i, line := range lines {
			var a struct{ Status, Error string }
			if err := json.Unmarshal([]byte(line), &a); err != nil || a.Status+a.Error != words[i] {
				t.Errorf("line %d: %s, want %s", i+1, line, words[i])
			}
		}
	}
	if res, out := ask(t, conn, "POST /v1/scan", "", auth, "Content-Length: 0"); res.StatusCode != 200 || out != "" {
		t.Errorf("no codes: %s %q", res.Status, out)
	}
}

func TestBatchLimits(t *testing.T) {
	s := serving(t)
	for body, want := range map[string]string{
		strings.Repeat("\n", maxCodes):   "",
		strings.Repeat("\n", maxCodes+1): "too-many-codes",
		strings.Repeat("x", maxBody+1):   "too-large",
	} {
		res, out := ask(t, dial(t, s), "POST /v1/scan", body, auth)
		if want == "" && res.StatusCode == 200 && strings.Count(out, "\n") == maxCodes {
			continue
		}
		if res.StatusCode != 413 || !strings.Contains(out, `"`+want+`"`) {
			t.Errorf("%d bytes: %s %.100s", len(body), res.Status, out)
		}
	}
	if res, out := ask(t, dial(t, s), "POST /v1/scan", "x", auth, "Content-Encoding: gzip"); res.StatusCode != 415 || !strings.Contains(out, "unsupported-coding") {
		t.Errorf("compressed: %s %s", res.Status, out)
	}
	if res, out := ask(t, dial(t, s), "POST /v1/scan", "x"); res.StatusCode != 401 || !strings.Contains(out, "no-key") {
		t.Errorf("without a key: %s %s", res.Status, out)
	}
}

// oddCodes are codes of all sorts, plain ones most.
func oddCodes() []string {
	codes := []string{
		"", ":", "a", "demo-a", "demo-a:", "demo-b:g", "demo-c:g", "Demo-a:g", "demo-a:a:b", "demo-a:a b", "demo-a:\x00", "demo-a:\x7f", "demo-a:\xff",
		"demo-a:\u0085", "demo-a:粤A·12345", "demo-a:none", "demo-a:%67", " demo-a:g", "demo-a:g ", "demo-a:" + strings.Repeat("x", 65),
		strings.Repeat("x", 4096), "SE1.", "SE1.DEMO-A.", "SS1.DEMO-A.AAAA", "se1.demo-a.x", `demo-a:"`, `demo-a:\`, "demo-aa:g", "demo-:g", "demo-e:g", "demo-f:g",
	}
	at := noon.Unix()
	for _, step := range []int64{-9, -2, -1, 0, 1, 2, 9} {
		codes = append(codes, rolling(&mint.key, "g", uint32(at/30+step)), rolling(&mint.old, "r", uint32(at/30+step)))
	}
	now := rolling(&mint.key, "nobody", uint32(at/30))
	codes = append(codes, now, now[:len(now)-1]+"A", strings.ToLower(now), strings.Replace(now, "DEMO-A", "DEMO-D", 1), now+"A",
		signed("g", at-5, at+5), signed("g", at+5, at+9), signed("r", at-9, at), signed("nobody", 0, at+1), strings.Replace(signed("g", 0, at+1), "DEMO-A", "DEMO-F", 1))
	for range 20 {
		codes = append(codes, "demo-a:g", "demo-a:r", "demo-a:old", "demo-a:v", "demo-d:g", "demo-d:nobody")
	}
	return codes
}

// many makes a server of several issuers, again and again the same, at noon. All beats are of a later time, so that every answer's age is
// 0, but for one issuer of which nothing is said any more.
func many(t testing.TB) (another func() *Server) {
	t.Helper()
	var seeds [4]cache.Seed
	for i := range seeds {
		seeds[i] = cache.NewSeed()
	}
	return func() *Server {
		s := admitting("demo-a", "demo-b", "demo-d", "demo-e", "demo-f")
		s.now = func(time.Time) time.Time { return noon }
		s.Remember(2)
		t.Cleanup(s.signatures.Reset)
		for i, issuer := range []string{"demo-a", "demo-d", "demo-e", "demo-f"} {
			v := Vouch{Seed: seeds[i], Table: new(cache.Table), Offset: uint64(7 + i), Beat: noon.Add(time.Hour), MaxStale: time.Hour, Codes: keyring(1)}
			v.Suspect, v.PlainOff = issuer == "demo-d", issuer == "demo-f"
			if issuer == "demo-e" {
				v.Beat = noon.Add(-2 * time.Hour)
			}
			for subject, r := range map[string]cache.Record{
				"g": 1<<24 - 1, "r": 2<<30 | 63<<24 | 10_000_000, "old": 5, "v": 3<<30 | 1<<24 - 1, "a:b": 1<<24 - 1, "粤A·12345": 9<<24 | 1<<24 - 1,
			} {
				v.Table.Put(v.Seed.Key([]byte(subject)), r)
			}
			s.Publish(issuer, v)
		}
		return s
	}
}

// single is what a scan of the code alone says, as a line of a batch would.
func single(t testing.TB, s *Server, code, accept, least string) string {
	t.Helper()
	ctx := request(url.PathEscape(code), accept)
	setLeast(ctx, least)
	s.Handle(ctx)
	out := ctx.Response.Body()
	if ctx.Response.StatusCode() == 200 {
		return strings.TrimSuffix(string(out), "\n")
	}
	var p scanedge.Problem
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	if accept == "text/plain" {
		return string(p.Type)
	}
	if p.AheadS != 0 {
		return fmt.Sprintf(`{"error":%q,"ahead_s":%d}`, p.Type, p.AheadS)
	}
	return fmt.Sprintf(`{"error":%q}`, p.Type)
}

func setLeast(ctx *fasthttp.RequestCtx, offset string) {
	if offset != "" {
		ctx.Request.Header.Set("Scanedge-Min-Offset", offset)
	}
}

// A line of a batch is answered as a scan of its code is, whatever stands beside it.
func TestBatchAnswersAsScansDo(t *testing.T) {
	another, codes := many(t), oddCodes()
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		alone, together := another(), another() // each remembers what it was shown
		accept := []string{"", "text/plain"}[r.IntN(2)]
		least := []string{"", "", "8", "demo-a=8, demo-d=3"}[r.IntN(4)]
		asJSON := r.IntN(2) == 0
		var body []byte
		var want []string
		for range 1 + r.IntN(3*runLines) {
			code := codes[r.IntN(len(codes))]
			body = append(appendLineOf(body, code, asJSON, r), []string{"\n", "\r\n"}[r.IntN(2)]...)
			want = append(want, single(t, alone, code, accept, least))
		}
		kind := "text/plain"
		if asJSON {
			kind = "application/X-NDJSON; charset=utf-8"
		}
		ctx := upload(body, kind)
		ctx.Request.Header.Set("Accept", accept)
		setLeast(ctx, least)
		handleBatch(together, ctx)
		got := strings.Split(strings.TrimSuffix(string(ctx.Response.Body()), "\n"), "\n")
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("seed %d: %d answers to %d lines; the first that differs is %d: %q", seed, len(got), len(want), i, got[i:min(i+1, len(got))])
			}
		}
	}
}

// appendLineOf appends a code as it is, or as JSON in one of its spellings. What JSON can't carry is a number instead, no code either.
func appendLineOf(b []byte, code string, asJSON bool, r *rand.Rand) []byte {
	if !asJSON {
		return append(b, code...)
	}
	text, err := jsonexp.Marshal(code)
	if err != nil {
		return append(b, "17"...)
	}
	if r.IntN(2) == 0 && len(code) > 0 && code[0] < 0x80 {
		text = fmt.Appendf(nil, `"\u%04x%s`, code[0], text[2:])
		if code[0] == '"' || code[0] == '\\' {
			text, _ = jsonexp.Marshal(code)
		}
	}
	if r.IntN(2) == 0 {
		text = fmt.Appendf(nil, []string{`{"code":%s}`, ` { "code" : %s } `}[r.IntN(2)], text)
	}
	return append(b, text...)
}

// Lines of JSON: a string, or an object with a code and nothing else.
func TestBatchOfJSON(t *testing.T) {
	s := many(t)()
	for line, good := range map[string]bool{
		`"demo-a:g"`: true, `{"code":"demo-a:g"}`: true, ` {"code": "demo-a:\u0067"}` + "\t": true, `"demo-a\u003ag"`: true, `{"code":"demo-a:g"} `: true,
		`demo-a:g`: false, `"demo-a:g`: false, `{"code":"demo-a:g"`: false, `{"code":"demo-a:g","x":1}`: false, `{"code":"demo-a:g","code":"demo-a:g"}`: false,
		`{"Code":"demo-a:g"}`: false, `{"x":"demo-a:g"}`: false, `["demo-a:g"]`: false, `{}`: false, `{`: false, `"`: false, `""`: false, `{"code"}`: false,
		`{"code":}`: false, `"demo-a:g" "demo-a:g"`: false, `"demo-a:\g"`: false, `"demo-a:\ud800"`: false, `null`: false, ``: false, `{"code" "demo-a:g"}`: false,
		`"demo-a:g\`: false, `"demo-a:g\"`: false, `"` + strings.Repeat(`\u0061`, maxCode+1) + `"`: false, `"` + strings.Repeat(`\\`, 1<<16) + `"`: false,
	} {
		ctx := upload([]byte(line+"\n"), "application/x-ndjson")
		handleBatch(s, ctx)
		if got := string(ctx.Response.Body()); good != strings.Contains(got, `"green"`) || !good && got != `{"error":"malformed-code"}`+"\n" {
			t.Errorf("%.80s: %s", line, got)
		}
	}
}

// An answer is charged until it was taken, or its scanner has gone; while too many are held, batches are refused.
func TestAnswersThatAreNotTakenAreBounded(t *testing.T) {
	s := many(t)()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s.HTTP(), l)
	body := strings.Repeat("demo-a:g\n", maxCodes)
	idle := func() bool {
		for range 1000 {
			if s.batches.held.Load() == 0 {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	}
	for _, reads := range []int64{0, 1000, 1 << 30} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /v1/scan HTTP/1.1\r\nHost: e\r\nConnection: close\r\n%s\r\nContent-Length: %d\r\n\r\n%s", auth, len(body), body)
		n, _ := io.CopyN(io.Discard, conn, reads)
		conn.Close()
		if !idle() || reads > 1000 && n < maxCodes*50 {
			t.Errorf("%d bytes were read, and %d are held", n, s.batches.held.Load())
		}
	}
	s.batches.held.Add(maxAnswers)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if res, out := ask(t, conn, "POST /v1/scan", "demo-a:g", auth); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(out, "overloaded") {
		t.Errorf("too many answers are held: %s %s", res.Status, out)
	}
	if res, _ := ask(t, conn, "GET /v1/scan/demo-a:g", "", auth); res.StatusCode != 200 {
		t.Errorf("a scan meanwhile: %s", res.Status)
	}
	s.batches.held.Add(-maxAnswers)
	if res, _ := ask(t, conn, "POST /v1/scan", "demo-a:g", auth); res.StatusCode != 200 {
		t.Errorf("afterwards: %s", res.Status)
	}
}

func TestBatchAllocatesNothing(t *testing.T) {
	s := many(t)()
	// The check of a forged signature does allocate.
	codes := slices.DeleteFunc(oddCodes(), func(code string) bool { return strings.HasPrefix(code, "SS1.DEMO-F") })
	for kind, form := range map[string]string{"text/plain": "%s", "application/x-ndjson": `{"code":%q}`} {
		var body []byte
		for i := range 1000 {
			body = append(fmt.Appendf(body, form, codes[i%len(codes)]), '\n')
		}
		ctx := upload(body, kind)
		handleBatch(s, ctx)
		// The race detector lets pools forget what they hold, now and then: then a batch is made anew. None of its lines allocates.
		if n := testing.AllocsPerRun(100, func() { handleBatch(s, ctx) }); n > 5 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

// Whatever the lines, each has one answer, that of its code alone.
func FuzzBatch(f *testing.F) {
	another := many(f)
	alone, together := another(), another()
	f.Add([]byte("demo-a:g\ndemo-a:r\r\n\nx\n"), false)
	f.Add([]byte(strings.Join(oddCodes(), "\n")), false)
	f.Add([]byte(`"demo-a:g"`+"\n"+`{"code":"demo-d:\u0067"}`+"\n"+` { "code" : "x" , "code" : 1 } `), true)
	f.Fuzz(func(t *testing.T, body []byte, asJSON bool) {
		lines := bytes.Split(body, newline)
		if len(lines[len(lines)-1]) == 0 {
			lines = lines[:len(lines)-1]
		}
		if len(lines) > maxCodes {
			return
		}
		ctx := upload(slices.Clone(body), map[bool]string{false: "", true: "application/x-ndjson"}[asJSON])
		handleBatch(together, ctx)
		got := bytes.SplitAfter(ctx.Response.Body(), newline)
		if len(got) != len(lines)+1 {
			t.Fatalf("%d answers to %d lines", len(got)-1, len(lines))
		}
		for i, line := range lines {
			v := alone.judge(codeOf(bytes.TrimSuffix(line, []byte{'\r'}), asJSON), asker{scanner: true})
			if want := v.appendLine(nil, false, &moment{now: v.now}); !bytes.Equal(got[i], want) {
				t.Errorf("%q is answered %q, alone %q", line, got[i], want)
			}
		}
	})
}

// codeOf is the code of a line by another reader of JSON.
func codeOf(line []byte, asJSON bool) []byte {
	if !asJSON {
		return line
	}
	var code string
	if jsonexp.Unmarshal(line, &code) == nil && bytes.HasPrefix(bytes.TrimSpace(line), []byte{'"'}) {
		return []byte(code)
	}
	var object struct {
		Code *string `json:"code"`
	}
	if jsonexp.Unmarshal(line, &object, jsonexp.RejectUnknownMembers(true)) == nil && object.Code != nil {
		return []byte(*object.Code)
	}
	return nil
}

// filled is a server that holds demo-a with n subjects d000000000 and so on, half of them green.
func filled(tb testing.TB, n int) *Server {
	tb.Helper()
	s := admitting("demo-a")
	v := Vouch{Seed: cache.NewSeed(), Table: new(cache.Table), Offset: 12345678, Beat: time.Now(), MaxStale: time.Hour}
	deltas := make([]cache.Delta, 0, 1000)
	for i := range n {
		deltas = append(deltas, cache.Delta{Key: v.Seed.Key(fmt.Appendf(nil, "d%09d", i)), Record: cache.Record(i%4)<<30 | 1<<24 - 1})
		if len(deltas) == cap(deltas) || i == n-1 {
			v.Table.PutMany(deltas)
			deltas = deltas[:0]
		}
	}
	s.Publish("demo-a", v)
	return s
}

// upload is a batch as the server's handler sees it.
func upload(body []byte, kind string) *fasthttp.RequestCtx {
	ctx := request("", "*/*")
	ctx.Request.Header.SetMethod(fasthttp.MethodPost)
	ctx.Request.Header.SetRequestURI("/v1/scan")
	ctx.Request.Header.SetContentType(kind)
	ctx.Request.SetBodyRaw(body)
	return ctx
}

func handleBatch(s *Server, ctx *fasthttp.RequestCtx) {
	ctx.Response.Reset()
	s.Handle(ctx)
	ctx.ResetUserValues()
}

func BenchmarkBatch(b *testing.B) {
	const lines, subjects = 1000, 10_000_000
	s := filled(b, subjects)
	r := rand.New(rand.NewPCG(1, 2))
	ctxs := make([]*fasthttp.RequestCtx, 1000)
	for i := range ctxs {
		var body []byte
		for range lines {
			body = fmt.Appendf(body, "demo-a:d%09d\n", r.IntN(subjects))
		}
		ctxs[i] = upload(body, "text/plain")
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		handleBatch(s, ctxs[i%len(ctxs)])
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
}
