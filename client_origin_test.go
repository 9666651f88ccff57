package scanedge_test

import (
	"bytes"
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
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

func ExampleOrigin_Push() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Print(string(body))
		say(200, "application/json", `{"offset":17,"count":2}`)(w, r)
	}))
	defer server.Close()

	origin := scanedge.NewOrigin(server.URL, "push-token")
	receipt, err := origin.Push(context.Background(), "demo-a", []scanedge.Delta{
		{Subject: "d000000001", Status: scanedge.Red, Reason: 5},
		{Subject: "d000000002", Remove: true},
	})
	fmt.Println(receipt.Count, "deltas at offset", receipt.Offset, err)
	// Output:
	// {"subject":"d000000001","status":"red","reason":5}
	// {"subject":"d000000002","remove":true}
	// 2 deltas at offset 17 <nil>
}

// sent is what a recording origin saw of a push.
type sent struct {
	uri, contentType, body string
	length                 int64
}

func recordingOrigin(t *testing.T) (*scanedge.Origin, func() []sent) {
	var mu sync.Mutex
	var all []sent
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, sent{r.RequestURI, r.Header.Get("Content-Type"), string(body), r.ContentLength})
		_ = json.NewEncoder(w).Encode(scanedge.Receipt{Offset: uint64(len(all)), Count: bytes.Count(body, []byte("\n"))})
	})
	return scanedge.NewOrigin(base, "token"), func() []sent {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func TestPushSendsEveryDelta(t *testing.T) {
	until := time.Date(2027, 1, 2, 3, 4, 0, 0, time.UTC)
	want := []scanedge.Delta{
		{Subject: "d1", Status: scanedge.Green},
		{Subject: `quote " slash \ <&> 广州` + "\u2028", Status: scanedge.Red, Until: until, Reason: 63},
		{Subject: "gone", Remove: true},
	}
	origin, seen := recordingOrigin(t)
	receipt, err := origin.Push(t.Context(), "demo-a", want)
	if err != nil || receipt != (scanedge.Receipt{Offset: 1, Count: 3}) {
		t.Fatal(receipt, err)
	}
	s := seen()
	if len(s) != 1 || s[0].uri != "/v1/issuers/demo-a/deltas" || s[0].contentType != "application/x-ndjson" {
		t.Fatalf("saw %+v", s)
	}
	var got []scanedge.Delta
	for line := range strings.Lines(s[0].body) {
		var d scanedge.Delta
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPushRefusesWhatJSONWouldChange(t *testing.T) {
	origin, seen := recordingOrigin(t)
	for want, d := range map[string]scanedge.Delta{
		`push to demo-a: delta 2: subject "\xff" is not UTF-8`: {Subject: "\xff", Status: scanedge.Red},
		`push to demo-a: delta 2: `:                            {Subject: "x", Until: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := origin.Push(t.Context(), "demo-a", []scanedge.Delta{{Subject: "ok", Status: scanedge.Red}, d})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := origin.Push(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "no issuer is named") {
		t.Errorf("got %v", err)
	}
	if s := seen(); len(s) != 0 {
		t.Errorf("sent %+v", s)
	}
}

func TestPushReaderSendsBytesAsTheyAre(t *testing.T) {
	body := "\ufeffsubject,status\r\n\"a,\"\"b\",red\r\n\xff,green"
	origin, seen := recordingOrigin(t)
	readers := []io.Reader{strings.NewReader(body), io.MultiReader(strings.NewReader(body))}
	for _, r := range readers {
		if _, err := origin.PushReader(t.Context(), "../x", scanedge.CSV, r); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range seen() {
		want := sent{"/v1/issuers/%2E%2E%2Fx/deltas", "text/csv", body, []int64{int64(len(body)), -1}[i]}
		if s != want {
			t.Errorf("sent %+v, want %+v", s, want)
		}
	}
}

func TestBadLinesOfAPush(t *testing.T) {
	want := scanedge.NewProblem(scanedge.BadLines, "")
	want.Bad = 41
	want.Lines = []scanedge.BadLine{{Line: 7, Field: "status", Why: `unknown status "blue"`}, {Line: 9, Why: "not JSON"}}
	origin := scanedge.NewOrigin(serve(t, say(400, "application/problem+json; charset=utf-8", string(want.JSON()))), "token")
	_, err := origin.Push(t.Context(), "demo-a", nil)
	var p *scanedge.Problem
	if !errors.As(err, &p) || p.Bad != 41 || !slices.Equal(p.Lines, want.Lines) {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), `line 7: status: unknown status "blue"`) {
		t.Errorf("%v does not name the line", err)
	}
}

// TestRefusedBeforeTheBodyIsRead pushes far more than fits the sockets' buffers to an origin that looks at the token alone.
func TestRefusedBeforeTheBodyIsRead(t *testing.T) {
	origin := scanedge.NewOrigin(serve(t, problem(scanedge.NoToken, "")), "wrong")
	body := bytes.Repeat([]byte(`{"subject":"d000000001","status":"red"}`+"\n"), 400_000)
	for i := range 10 {
		_, err := origin.PushReader(t.Context(), "demo-a", scanedge.NDJSON, bytes.NewReader(body))
		var p *scanedge.Problem
		if !errors.As(err, &p) || p.Type != scanedge.NoToken {
			t.Fatalf("push %d: got %v", i, err)
		}
	}
}
