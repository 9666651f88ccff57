package scanedge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

func ExampleWithKey() {
	server := httptest.NewServer(newKeyedOrigin(nil))
	defer server.Close()

	origin := scanedge.NewOrigin(server.URL, "push-token")
	recall := []scanedge.Delta{{Subject: "d000000001", Status: scanedge.Red}}
	for range 2 {
		receipt, err := origin.Push(context.Background(), "demo-a", recall, scanedge.WithKey("recall-7"))
		fmt.Println(receipt.Count, "delta at offset", receipt.Offset, receipt.Replayed, err)
	}
	// Output:
	// 1 delta at offset 1 false <nil>
	// 1 delta at offset 1 true <nil>
}

// keyedOrigin keeps the promises that a pusher relies on: a key's push is applied once, and If-Match holds. Before it serves a
// request it asks fate what breaks.
type keyedOrigin struct {
	mu     sync.Mutex
	lines  []string // applied, in order
	known  map[string]scanedge.Receipt
	bodies map[string]string
	notes  []string
	fate   func() fate
}

type fate int

const (
	well       fate = iota
	hangUp          // before the body is read
	halfBody        // when half of it is read
	loseAnswer      // when the push is applied
	halfAnswer
	refuse // 503 with nothing applied
	deny   // 503 and applied all the same
	fates
)

func newKeyedOrigin(fate func() fate) *keyedOrigin {
	return &keyedOrigin{known: make(map[string]scanedge.Receipt), bodies: make(map[string]string), fate: fate}
}

func (o *keyedOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := well
	if o.fate != nil {
		f = o.fate()
	}
	switch f {
	case hangUp:
		panic(http.ErrAbortHandler)
	case halfBody:
		_, _ = io.CopyN(io.Discard, r.Body, max(0, r.ContentLength/2))
		panic(http.ErrAbortHandler)
	case refuse:
		scanedge.NewProblem(scanedge.NotReady, "").Write(w)
		return
	}
	answer, replayed, problem := o.apply(r)
	switch {
	case f == loseAnswer:
		panic(http.ErrAbortHandler)
	case f == halfAnswer:
		w.Header().Set("Content-Length", "99")
		_, _ = io.WriteString(w, `{"off`)
		return
	case f == deny:
		problem = scanedge.NewProblem(scanedge.LogUnavailable, "")
	}
	if problem != nil {
		problem.Write(w)
		return
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (o *keyedOrigin) apply(r *http.Request) (answer scanedge.Receipt, replayed bool, problem *scanedge.Problem) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return answer, false, scanedge.NewProblem(scanedge.BodyCut, "")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if key, get := strings.CutPrefix(r.RequestURI, "/v1/issuers/demo-a/pushes/"); get {
		key, _ = url.PathUnescape(key)
		if receipt, ok := o.known[key]; ok {
			return receipt, false, nil
		}
		return answer, false, scanedge.NewProblem(scanedge.UnknownPush, "")
	}
	key := r.Header.Get("Idempotency-Key")
	if receipt, ok := o.known[key]; ok {
		if o.bodies[key] != string(body) {
			return answer, false, scanedge.NewProblem(scanedge.KeyReused, "")
		}
		return receipt, true, nil
	}
	if match := r.Header.Get("If-Match"); match != "" && match != fmt.Sprintf("%q", fmt.Sprint(len(o.notes))) {
		return answer, false, scanedge.NewProblem(scanedge.OffsetMoved, fmt.Sprintf("the last batch is at offset %d", len(o.notes)))
	}
	o.lines = slices.AppendSeq(o.lines, strings.Lines(string(body)))
	note, _ := url.PathUnescape(r.Header.Get("Scanedge-Note"))
	o.notes = append(o.notes, note)
	receipt := scanedge.Receipt{Offset: uint64(len(o.notes)), Count: bytes.Count(body, []byte("\n"))}
	if key != "" {
		o.known[key], o.bodies[key] = receipt, string(body)
	}
	return receipt, false, nil
}

func TestPushOptions(t *testing.T) {
	var seen http.Header
	origin := scanedge.NewOrigin(serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		say(200, "application/json", `{"offset":9,"count":1}`)(w, r)
	}), "token")
	note := `100 % "rückruf" + 穗康 ` // a blank at the end would not survive bare
	_, err := origin.PushReader(t.Context(), "demo-a", scanedge.CSV, strings.NewReader("x"), scanedge.WithKey("!k~"),
		scanedge.WithIfMatch(0), scanedge.WithNote(note), scanedge.WithEncoding("zstd"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Idempotency-Key": "!k~", "If-Match": `"0"`, "Content-Encoding": "zstd", "Content-Type": "text/csv",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	raw := seen.Get("Scanedge-Note")
	if got, err := url.PathUnescape(raw); got != note || err != nil || strings.ContainsAny(raw, "+ ") {
		t.Errorf("the note travels as %q and arrives as %q", raw, got)
	}
	_, err = origin.Push(t.Context(), "demo-a", nil, scanedge.WithNote(""))
	for _, name := range []string{"Idempotency-Key", "If-Match", "Content-Encoding", "Scanedge-Note"} {
		if _, there := seen[name]; there || err != nil {
			t.Errorf("a plain push has %s: %q, %v", name, seen[name], err)
		}
	}
}

func TestPushOptionsThatMakeNoSense(t *testing.T) {
	origin, seen := recordingOrigin(t)
	for _, c := range []struct {
		option scanedge.PushOption
		want   scanedge.ProblemType
	}{
		{scanedge.WithKey(""), scanedge.BadKey},
		{scanedge.WithKey("a b"), scanedge.BadKey},
		{scanedge.WithKey("ключ"), scanedge.BadKey},
		{scanedge.WithKey(strings.Repeat("k", 129)), scanedge.BadKey},
		{scanedge.WithNote("a\nb"), scanedge.BadNote},
		{scanedge.WithNote("\u0085"), scanedge.BadNote},
		{scanedge.WithNote("\xff"), scanedge.BadNote},
		{scanedge.WithNote(strings.Repeat("é", 257)), scanedge.BadNote},
	} {
		_, err := origin.Push(t.Context(), "demo-a", nil, c.option)
		if p := (*scanedge.Problem)(nil); !errors.As(err, &p) || p.Type != c.want || !strings.HasPrefix(err.Error(), "push to demo-a at ") {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if _, err := origin.Push(t.Context(), "demo-a", nil, scanedge.WithEncoding("gzip")); err == nil {
		t.Error("deltas pass for gzip")
	}
	pipe := io.MultiReader(strings.NewReader("{}\n"))
	_, err := origin.PushReader(t.Context(), "demo-a", scanedge.NDJSON, pipe, scanedge.WithRetry(scanedge.Retry{For: time.Minute}))
	if err == nil || !strings.Contains(err.Error(), "must be a *bytes.Reader") {
		t.Errorf("a body that can't be sent again: %v", err)
	}
	if _, _, err := origin.Pushed(t.Context(), "demo-a", "a/ b"); err == nil {
		t.Error("a key with a blank is asked for")
	}
	if s := seen(); len(s) != 0 {
		t.Errorf("sent %+v", s)
	}
	long := []scanedge.PushOption{scanedge.WithKey(strings.Repeat("k", 128)), scanedge.WithNote(strings.Repeat("é", 256))}
	if _, err := origin.Push(t.Context(), "demo-a", []scanedge.Delta{{Subject: "a", Remove: true}}, long...); err != nil {
		t.Error(err)
	}
}

func TestPushed(t *testing.T) {
	origin := scanedge.NewOrigin(serve(t, newKeyedOrigin(nil).ServeHTTP), "token")
	const key = "a/b%2F..?#" // nothing of it may be cleaned on the way
	if r, found, err := origin.Pushed(t.Context(), "demo-a", key); found || err != nil || r != (scanedge.Receipt{}) {
		t.Errorf("before: %v, %t, %v", r, found, err)
	}
	first, err := origin.Push(t.Context(), "demo-a", []scanedge.Delta{{Subject: "a", Status: scanedge.Red}}, scanedge.WithKey(key))
	if err != nil || first.Replayed {
		t.Fatal(first, err)
	}
	first.Replayed = true
	if r, found, err := origin.Pushed(t.Context(), "demo-a", key); !found || err != nil || r != first {
		t.Errorf("after: %v, %t, %v", r, found, err)
	}
	if b, _ := json.Marshal(first); string(b) != `{"offset":1,"count":1}` {
		t.Errorf("a receipt is %s", b)
	}
	elsewhere := scanedge.NewOrigin(serve(t, problem(scanedge.NotFound, "")), "token")
	if _, found, err := elsewhere.Pushed(t.Context(), "demo-a", key); found || err == nil {
		t.Errorf("an origin without keys: %t, %v", found, err)
	}
	if _, _, err := origin.Pushed(t.Context(), "", key); err == nil || !strings.Contains(err.Error(), "no issuer is named") {
		t.Errorf("got %v", err)
	}
}

// TestPushedOnceWhateverBreaks breaks requests at random, several times each, and finds each push applied once and in order.
func TestPushedOnceWhateverBreaks(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex // a request may go on at the origin when its pusher has given up on it
	left := 0
	o := newKeyedOrigin(func() fate {
		mu.Lock()
		defer mu.Unlock()
		if left--; left < 0 {
			return well
		}
		return fate(rnd.IntN(int(fates)))
	})
	origin := scanedge.NewOrigin(serve(t, o.ServeHTTP), "token")
	var want []string
	last := scanedge.Receipt{}
	for i := range 16 {
		line := fmt.Sprintf(`{"subject":"d%d"}`, i) + strings.Repeat(" ", 1<<(i+6)) + "\n" // up to what no buffer holds
		bodies := []io.Reader{strings.NewReader(line), bytes.NewReader([]byte(line)), bytes.NewBufferString(line)}
		options := []scanedge.PushOption{scanedge.WithRetry(scanedge.Retry{For: time.Minute})}
		if i%2 == 0 {
			options = append(options, scanedge.WithKey(fmt.Sprint("push-", i)), scanedge.WithIfMatch(last.Offset))
		}
		mu.Lock()
		left = rnd.IntN(3)
		mu.Unlock()
		receipt, err := origin.PushReader(t.Context(), "demo-a", scanedge.NDJSON, bodies[i%3], options...)
		if err != nil || receipt.Offset != last.Offset+1 {
			t.Fatalf("push %d: %+v, %v", i, receipt, err)
		}
		last = receipt
		want = slices.AppendSeq(want, strings.Lines(line))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.lines, want) {
		t.Errorf("%d lines are applied, %d were pushed", len(o.lines), len(want))
	}
}
