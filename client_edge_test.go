package scanedge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

func ExampleEdge_Scan() {
	verdictJSON := `{"issuer":"demo-a","status":"red","reason":5,"offset":17,"age_ms":240}`
	server := httptest.NewServer(say(200, "application/json", verdictJSON))
	defer server.Close()

	edge := scanedge.NewEdge(server.URL, "scanner-key")
	verdict, err := edge.Scan(context.Background(), "demo-a:d000000013")
	fmt.Println(verdict.Status, verdict.Reason, verdict.Offset, *verdict.AgeMS, err)
	// Output: red 5 17 240 <nil>
}

func ExampleEdge_Scan_problem() {
	server := httptest.NewServer(problem(scanedge.UnknownSubject, ""))
	defer server.Close()

	_, err := scanedge.NewEdge(server.URL, "scanner-key").Scan(context.Background(), "demo-a:nobody")
	var p *scanedge.Problem
	if errors.As(err, &p) && p.Type == scanedge.UnknownSubject {
		fmt.Println("do not open the gate:", p)
	}
	// Output: do not open the gate: unknown-subject: The issuer has no such subject
}

func ExampleEdge_ScanMany() {
	server := httptest.NewServer(http.HandlerFunc(fakeEdge))
	defer server.Close()

	edge := scanedge.NewEdge(server.URL, "scanner-key")
	answers, err := edge.ScanMany(context.Background(), []string{"demo-a:green-1", "no code", "demo-a:red-7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range answers {
		if a.Error != "" {
			fmt.Println("error:", a.Error)
			continue
		}
		fmt.Println(a.Status, "for reason", a.Reason)
	}
	// Output:
	// green for reason 1
	// error: malformed-code
	// red for reason 7
}

func ExampleEdges() {
	near := httptest.NewServer(http.NotFoundHandler())
	near.Close() // it is away
	far := httptest.NewServer(say(200, "application/json", `{"issuer":"demo-a","status":"green","offset":17,"age_ms":240}`))
	defer far.Close()

	gate := scanedge.NewEdges(scanedge.NewEdge(near.URL, "scanner-key"), scanedge.NewEdge(far.URL, "scanner-key"))
	gate.Retry.For = 2 * time.Second
	verdict, err := gate.Scan(context.Background(), "demo-a:d000000001")
	var p *scanedge.Problem
	switch {
	case errors.As(err, &p) && p.Type == scanedge.ClockAhead:
		fmt.Printf("set the clock of this phone: it is %d s ahead\n", p.AheadS)
	case err != nil:
		fmt.Println("no verdict:", err)
	case verdict.SeenMSAgo != nil:
		fmt.Println("this code was shown here before")
	default:
		fmt.Println(verdict.Status)
	}
	// Output: green
}

// judge is the oracle: the subject STATUS-REASON has that status, for that reason; all else is malformed.
func judge(code string) scanedge.Answer {
	if subject, ok := strings.CutPrefix(code, "demo-a:"); ok {
		status, reason, _ := strings.Cut(subject, "-")
		var n int
		if _, err := fmt.Sscan(reason, &n); err == nil {
			return scanedge.Answer{Verdict: scanedge.Verdict{Issuer: "demo-a", Status: scanedge.Status(status), Reason: n, Offset: 1}}
		}
	}
	return scanedge.Answer{Error: scanedge.MalformedCode}
}

// fakeEdge answers a batch as an edge does: split at each LF, a CR before it dropped.
func fakeEdge(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for line := range strings.Lines(string(body)) {
		_ = json.NewEncoder(w).Encode(judge(strings.TrimRight(line, "\r\n")))
	}
}

func TestVerdictWhole(t *testing.T) {
	age := int64(12)
	want := scanedge.Verdict{
		Issuer: "demo-a", Status: scanedge.Lapsed, Until: time.Date(2026, 5, 4, 3, 2, 0, 0, time.UTC), Reason: 63, Offset: 1 << 60,
		AgeMS: &age, Stale: true,
	}
	line, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := scanedge.NewEdge(serve(t, say(200, "application/json", string(line))), "").Scan(t.Context(), "demo-a:x")
	if err != nil || *got.AgeMS != age {
		t.Fatal(got, err)
	}
	got.AgeMS = want.AgeMS
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestScanOfNothing(t *testing.T) {
	edge := scanedge.NewEdge(serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }), "")
	for _, code := range []string{"", strings.Repeat("x", 20_000)} { // no edge reads a request line as long as the second's
		_, err := edge.Scan(t.Context(), code)
		var p *scanedge.Problem
		if !errors.As(err, &p) || p.Type != scanedge.MalformedCode {
			t.Errorf("got %v", err)
		}
	}
	answers, err := edge.ScanMany(t.Context(), nil)
	if len(answers) != 0 || err != nil {
		t.Errorf("got %v, %v", answers, err)
	}
}

func TestAnswerJSON(t *testing.T) {
	for _, c := range []struct {
		answer scanedge.Answer
		want   string
	}{
		{judge("demo-a:red-3"), `{"issuer":"demo-a","status":"red","reason":3,"offset":1}`},
		{judge("x"), `{"error":"malformed-code"}`},
	} {
		line, err := json.Marshal(c.answer)
		if err != nil || string(line) != c.want {
			t.Errorf("got %s, %v, want %s", line, err, c.want)
		}
		var back scanedge.Answer
		if err := json.Unmarshal(line, &back); err != nil || back != c.answer {
			t.Errorf("%s reads as %+v, %v", line, back, err)
		}
	}
}

// TestScanManySplits sends more codes than fit one request, by count and by bytes, with codes among them that would shift
// every answer behind them if they were sent.
func TestScanManySplits(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	edge := scanedge.NewEdge(serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies = append(bodies, string(body))
		mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		fakeEdge(w, r)
	}), "key")

	var codes []string
	for i := range 25_000 {
		codes = append(codes, fmt.Sprintf("demo-a:yellow-%d", i))
		if i%1000 == 0 {
			codes = append(codes, "", "demo-a:red-1\n", "demo-a:red-1\ndemo-a:red-2", "\r", "demo-a:red-1\r", strings.Repeat("z", 1<<20))
		}
	}
	for range 5 {
		codes = append(codes, strings.Repeat("w", 1<<20-1), strings.Repeat("v", 400_000))
	}
	answers, err := edge.ScanMany(t.Context(), codes)
	if err != nil {
		t.Fatal(err)
	}
	for i, code := range codes {
		want := judge(code)
		if strings.ContainsAny(code, "\r\n") {
			want = scanedge.Answer{Error: scanedge.MalformedCode}
		}
		if answers[i] != want {
			t.Fatalf("answer %d to %.40q is %+v, want %+v", i, code, answers[i], want)
		}
	}
	sent := 0
	for i, body := range bodies {
		lines := strings.Count(body, "\n")
		if sent += lines; lines > 10_000 || len(body) > 1<<20 || strings.Contains(body, "\r") || strings.Contains(body, "\n\n") {
			t.Errorf("request %d has %d lines, %d bytes", i, lines, len(body))
		}
	}
	if sent != 25_000+10 {
		t.Errorf("%d codes were sent, want %d", sent, 25_000+10)
	}
	if !slices.ContainsFunc(bodies, func(b string) bool { return strings.Count(b, "\n") == 10_000 }) || len(bodies) > 3+10 {
		t.Errorf("requests are not filled: there were %d", len(bodies))
	}
}

func TestScanManyMiscounted(t *testing.T) {
	line := `{"issuer":"demo-a","status":"green","offset":1}` + "\n"
	for body, want := range map[string]string{
		"":                          "2 codes were sent, 0 answers came back",
		line:                        "2 codes were sent, 1 answers came back",
		line + line + line:          "2 codes were sent, 3 answers came back",
		line + "{}\n":               "200 OK, line 2, but no answer of scanedge",
		line + "green\n":            "200 OK, line 2, but no answer of scanedge",
		line + line[:20]:            "200 OK, line 2, but no answer of scanedge",
		line + `{"error":5}` + "\n": "200 OK, line 2, but no answer of scanedge",
		line + `{"error":"x","status":"green"}` + "\n": "200 OK, line 2, but no answer of scanedge",
	} {
		edge := scanedge.NewEdge(serve(t, say(200, "application/x-ndjson", body)), "")
		answers, err := edge.ScanMany(t.Context(), []string{"demo-a:x", "demo-a:y"})
		says := fmt.Sprint(err)
		if answers != nil || !strings.HasPrefix(says, "scan at http://") || !strings.Contains(says, want) {
			t.Errorf("%q: got %v, %v, want %s", body, answers, err, want)
		}
	}
}

// TestScanManyOnADeadConnection breaks every connection at its second request, as a server does that closes idle ones.
func TestScanManyOnADeadConnection(t *testing.T) {
	var mu sync.Mutex
	seen, broken := make(map[string]int), 0
	edge := scanedge.NewEdge(serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen[r.RemoteAddr]++; seen[r.RemoteAddr] == 2 {
			broken++
			panic(http.ErrAbortHandler)
		}
		fakeEdge(w, r)
	}), "")
	for range 4 {
		if answers, err := edge.ScanMany(t.Context(), []string{"demo-a:red-1"}); err != nil || answers[0] != judge("demo-a:red-1") {
			t.Fatal(answers, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if broken == 0 {
		t.Error("no connection was kept, so none was broken")
	}
}

func TestEdgeConcurrently(t *testing.T) {
	var requests atomic.Int64
	edge := scanedge.NewEdge(serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Method == http.MethodPost {
			fakeEdge(w, r)
			return
		}
		code := strings.TrimPrefix(r.RequestURI, "/v1/scan/")
		_ = json.NewEncoder(w).Encode(judge(code))
	}), "key")
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 20 {
				code := fmt.Sprintf("demo-a:green-%d", 100*g+i)
				if v, err := edge.Scan(t.Context(), code); err != nil || v != judge(code).Verdict {
					t.Errorf("%s: %+v, %v", code, v, err)
				}
				if a, err := edge.ScanMany(t.Context(), []string{"x", code}); err != nil || a[1] != judge(code) {
					t.Errorf("%s: %+v, %v", code, a, err)
				}
			}
		})
	}
	wg.Wait()
	if n := requests.Load(); n != 16*20*2 {
		t.Errorf("%d requests", n)
	}
}
