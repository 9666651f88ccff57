package origin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, issuers ...string) *Origin {
	t.Helper()
	o, err := Open(t.Context(), Config{
		Dir: dir, Issuers: issuers, Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// post pushes a body and returns status and answer.
func post(o *Origin, issuer string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/v1/issuers/"+issuer+"/deltas", body)
	req.Header.Set("Authorization", "Bearer "+o.tokens.Push)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	o.API().ServeHTTP(rec, req)
	return rec
}

func pushOK(t *testing.T, o *Origin, issuer, body string, header ...string) scanedge.Receipt {
	t.Helper()
	rec := post(o, issuer, strings.NewReader(body), header...)
	var r scanedge.Receipt
	if err := json.Unmarshal(rec.Body.Bytes(), &r); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return r
}

func (o *Origin) word(issuer, subject string) string {
	w := o.writers[issuer]
	r, ok := w.table.Lookup(w.secret.Seed.Key([]byte(subject)))
	if !ok {
		return "none"
	}
	return r.Word(time.Now().Unix())
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func TestPushesAreThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a", "demo-b")
	first := pushOK(t, o, "demo-a", `{"subject":"x","status":"red","reason":3}`+"\n"+`{"subject":"y","status":"green"}`)
	second := pushOK(t, o, "demo-a", "subject,status,until,reason,remove\ny,,,,true\nz,green,2020-02-02T00:00:00Z,,\n")
	pushOK(t, o, "demo-b", gzipped("status,subject\nyellow,x\n"), "Content-Encoding", "gzip")
	if first.Count != 2 || second.Count != 2 || second.Offset <= first.Offset {
		t.Errorf("receipts %+v and %+v", first, second)
	}
	check := func(o *Origin) {
		t.Helper()
		for subject, want := range map[string]string{"x": "red", "y": "none", "z": "lapsed"} {
			if got := o.word("demo-a", subject); got != want {
				t.Errorf("%s is %s, want %s", subject, got, want)
			}
		}
		if got := o.word("demo-b", "x"); got != "yellow" {
			t.Errorf("the other issuer's x is %s", got)
		}
	}
	check(o)
	digest, at := o.writers["demo-a"].table.Digest(), o.writers["demo-a"].at
	o.Close()
	o = open(t, dir, "demo-a", "demo-b")
	check(o)
	if w := o.writers["demo-a"]; w.table.Digest() != digest || w.at.Offset <= at.Offset || w.epoch != 2 {
		t.Errorf("rebuilt with digest %s at %s in epoch %d, was %s at %s in epoch 1", w.table.Digest(), w.at, w.epoch, digest, at)
	}
	third := pushOK(t, o, "demo-a", "subject,status\nx,green\n")
	if third.Offset <= second.Offset || o.word("demo-a", "x") != "green" {
		t.Errorf("after the restart: %+v, x is %s", third, o.word("demo-a", "x"))
	}
}

func TestPushRefusals(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushOK(t, o, "demo-a", "subject,status\nx,green\n")
	long := strings.Repeat("x", 65)
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
		want   string // a part of the answer
	}{
		"a bad line":           {"subject,status\nx,red\ny,blue\n", nil, 400, `"bad-lines"`},
		"it is named":          {"subject,status\nx,red\ny,blue\n", nil, 400, `{"line":3,"field":"status","why":`},
		"how many":             {"subject,status\nx,blue\ny,blue\n", nil, 400, `"bad":2`},
		"no JSON":              {"{\n", nil, 400, `"bad-lines"`},
		"unknown column":       {"subject,status,colour\nx,red,1\n", nil, 400, `{"line":1,"field":"colour"`},
		"id of no bytes":       {`{"subject":"","status":"red"}`, nil, 400, `"field":"subject"`},
		"id of 65 bytes":       {`{"subject":"` + long + `","status":"red"}`, nil, 400, `65 bytes; at most 64`},
		"nothing":              {"", nil, 400, `"no-deltas"`},
		"a header alone":       {"subject,status\n", nil, 400, `"no-deltas"`},
		"truncated gzip":       {gzipped("subject,status\nx,red\n")[:20], []string{"Content-Encoding", "gzip"}, 400, `"bad-encoding"`},
		"no gzip":              {"subject,status\nx,red\n", []string{"Content-Encoding", "gzip"}, 400, `"bad-encoding"`},
		"another encoding":     {"x", []string{"Content-Encoding", "br"}, 415, `"unsupported-coding"`},
		"a line over 64 KiB":   {`{"subject":"` + strings.Repeat("x", 65<<10), nil, 413, `"line-too-long"`},
		"no token":             {"x", []string{"Authorization", ""}, 401, `"no-token"`},
		"a wrong token":        {"x", []string{"Authorization", "Bearer nope"}, 401, `"no-token"`},
		"the scanner's key":    {"x", []string{"Authorization", "Bearer " + o.tokens.Scanner}, 401, `"no-token"`},
		"a token not a bearer": {"x", []string{"Authorization", "Basic " + o.tokens.Push}, 401, `"no-token"`},
	} {
		rec := post(o, "demo-a", strings.NewReader(c.body), c.header...)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.want) ||
			rec.Header().Get("Content-Type") != "application/problem+json" || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", name, rec.Code, rec.Header(), rec.Body)
		}
	}
	if rec := post(o, "demo-z", strings.NewReader("x")); rec.Code != 404 || !strings.Contains(rec.Body.String(), `"unknown-issuer"`) {
		t.Errorf("an issuer that does not exist: %d %s", rec.Code, rec.Body)
	}
	if got := o.word("demo-a", "x"); got != "green" || o.writers["demo-a"].table.Len() != 1 {
		t.Errorf("a refused push was applied: x is %s of %d", got, o.writers["demo-a"].table.Len())
	}
}

// endless is a body that never ends; what was read of it is counted.
type endless struct {
	pattern string
	read    int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.pattern[e.read%len(e.pattern):])
	e.read += n
	return n, nil
}

func TestPushesWithoutEnd(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	for name, c := range map[string]struct {
		pattern, want string
		most          int
	}{
		"line":   {strings.Repeat("x", 1000), `"line-too-long"`, 1 << 20},
		"lines":  {strings.Repeat("{\"subject\":\"a\",\"status\":\"red\"}\n", 1000), `"too-many-deltas"`, 40 << 20},
		"blanks": {strings.Repeat(" ", 60<<10) + "\n", `"too-large"`, 300 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			body := &endless{pattern: c.pattern}
			rec := post(o, "demo-a", body, "Content-Type", "application/x-ndjson")
			if rec.Code != http.StatusRequestEntityTooLarge || !strings.Contains(rec.Body.String(), c.want) || body.read > c.most {
				t.Errorf("%d %.200s after %d bytes", rec.Code, rec.Body, body.read)
			}
		})
	}
}

func TestConcurrentPushesEachHaveTheirPlace(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	var mu sync.Mutex
	places := map[uint64]bool{}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 10 {
				r := pushOK(t, o, "demo-a", fmt.Sprintf("subject,status\ns%d-%d,red\n", g, i))
				mu.Lock()
				if places[r.Offset] {
					t.Errorf("offset %d was given twice", r.Offset)
				}
				places[r.Offset] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := o.writers["demo-a"].table.Len(); n != 80 {
		t.Errorf("%d subjects", n)
	}
}

// An append can fail and be stored all the same. The writer must find it, answer with its place, and go on after it.
func TestAnAppendThatFailedButHappened(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	w := o.writers["demo-a"]
	pushOK(t, o, "demo-a", "subject,status\nx,green\n")
	stopWriter(o) // from here on this test is the writer
	two := func(status string) *chain {
		c := w.chain()
		for _, subject := range []string{"x", "y"} {
			p := pushOf(t, w, delta.Info{Key: status + subject}, "subject,status\n"+subject+","+status+"\n")
			c.add(issuer.Batch, p.record, p)
		}
		return c
	}

	happened := two("red")
	if err := w.log.AppendGroup(t.Context(), w.last, happened.records); err != nil {
		t.Fatal(err)
	}
	landed, err := w.settle(fmt.Errorf("the answer was lost"), happened.links)
	if err != nil || landed != 2 || w.at != happened.at || o.word("demo-a", "x") != "red" || o.word("demo-a", "y") != "red" {
		t.Errorf("failed but stored: at %s of %s, %v; x is %s", w.at, happened.at, err, o.word("demo-a", "x"))
	}
	if k, ok := w.past.find("redx"); !ok || k.offset != happened.links[0].at.Offset {
		t.Errorf("its key: %+v, %v", k, ok)
	}
	never := two("yellow")
	if landed, err := w.settle(fmt.Errorf("never sent"), never.links); err == nil || landed != 0 || o.word("demo-a", "x") != "red" {
		t.Errorf("failed and not stored: %v; x is %s", err, o.word("demo-a", "x"))
	}
	if _, ok := w.past.find("yellowx"); ok {
		t.Error("its key is known")
	}
	p := pushOf(t, w, delta.Info{}, "subject,status\nx,void\n")
	w.commit([]*push{p})
	if out := <-p.done; out.err != nil || o.word("demo-a", "x") != "void" {
		t.Errorf("the next push: %v; x is %s", out.err, o.word("demo-a", "x"))
	}
}

func pushOf(t *testing.T, w *writer, info delta.Info, body string) *push {
	t.Helper()
	deltas, problem := readDeltas(w, strings.NewReader(body), http.Header{}, anyNumber)
	if problem != nil {
		t.Fatal(problem)
	}
	p, err := newPush(w, info, deltas, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stopWriter(o *Origin) {
	o.stop()
	o.wg.Wait()
}

func TestPushWhileStopping(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	stopWriter(o)
	rec := post(o, "demo-a", strings.NewReader("subject,status\nx,red\n"))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "log-unavailable") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// The deadline for the body must not outlive it: a push whose turn comes late is no push that was hung up.
func TestAPushMayWaitForItsTurn(t *testing.T) {
	defer func(d time.Duration) { slowBody = d }(slowBody)
	slowBody = 200 * time.Millisecond
	o := open(t, t.TempDir(), "demo-a")
	stopWriter(o)
	w := o.writers["demo-a"]
	w.stopped = make(chan struct{}) // as if it were busy
	s := httptest.NewServer(o.API())
	defer s.Close()
	go func() {
		time.Sleep(3 * slowBody)
		p := <-w.pushes
		w.commit([]*push{p})
	}()
	req, err := http.NewRequest(http.MethodPost, s.URL+"/v1/issuers/demo-a/deltas", strings.NewReader("subject,status\nx,red\n"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.tokens.Push)
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Errorf("%s %s", res.Status, body)
	}
}

// When the log took nothing for a while the origin is not ready any more and says that its process is to end; one miss is forgiven.
func TestALogThatTakesNoMoreEndsTheOrigin(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	stopWriter(o)
	defer func(d time.Duration) { missesFor = d }(missesFor)
	w, full := o.writers["demo-a"], fmt.Errorf("disk full")
	w.took(full)
	w.took(nil)
	w.took(full)
	w.took(full)
	if !o.Ready() || len(o.Broken()) != 0 {
		t.Error("given up after misses of a moment")
	}
	missesFor = 0
	w.took(nil)
	w.took(full)
	if !o.Ready() || len(o.Broken()) != 0 {
		t.Error("given up after misses that were not in a row")
	}
	w.took(full)
	w.took(full)
	if o.Ready() || len(o.Broken()) != 1 {
		t.Errorf("ready %v, %d reasons", o.Ready(), len(o.Broken()))
	}
	if err := <-o.Broken(); !strings.Contains(err.Error(), "disk full") || !strings.Contains(err.Error(), "demo-a") {
		t.Error(err)
	}
}

// A log that another key wrote is not this issuer's: the origin must not go on from it.
func TestALogOfAnotherKeyIsRefused(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	o := open(t, dir, "demo-a")
	pushOK(t, o, "demo-a", "subject,status\nx,red\n")
	o.Close()
	open(t, other, "demo-a").Close()
	copyFile(t, other+"/issuers/demo-a.json", dir+"/issuers/demo-a.json")
	o, err := Open(t.Context(), Config{Dir: dir, Issuers: []string{"demo-a"},
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet()})
	if err == nil {
		o.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("opened: %v", err)
	}
}

func TestIssuersForOperators(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushOK(t, o, "demo-a", "subject,status\nx,red\ny,green\n")
	get := func(token string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, "/v1/issuers", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		o.Admin().ServeHTTP(rec, req)
		return rec
	}
	if rec := get(o.tokens.Push); rec.Code != http.StatusUnauthorized {
		t.Errorf("with a push token: %d", rec.Code)
	}
	rec := get(o.tokens.Admin)
	want := fmt.Sprintf(`{"issuers":[{"issuer":"demo-a","offset":%d,"count":2,"digest":"%s","counts":{"green":1,"red":1,"void":0,"yellow":0}}]}`,
		o.writers["demo-a"].offset.Load(), o.writers["demo-a"].table.Digest())
	if rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != want {
		t.Errorf("%d %s, want %s", rec.Code, rec.Body, want)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v1/issuers/demo-a/deltas", 405}, {"GET", "/v1/bootstrap", 404}, {"GET", "/", 404}, {"POST", "/v1/nothing", 404},
	} {
		rec := httptest.NewRecorder()
		o.API().ServeHTTP(rec, httptest.NewRequest(c.method, c.path, nil))
		if rec.Code != c.status || rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v", c.method, c.path, rec.Code, rec.Header())
		}
	}
}
