package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// verb runs the command line as main would, with pipes for files, and returns what it printed and its error.
func verb(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(&out)
	root.SetErr(io.Discard)
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

// wantExit checks a verb's error: its exit code and what it says.
func wantExit(t *testing.T, err error, code int, says ...string) {
	t.Helper()
	got, exit := 0, (*exitError)(nil)
	if errors.As(err, &exit) {
		got = exit.code
	} else if err != nil {
		got = exitFailure
	}
	if got != code {
		t.Errorf("exit %d, want %d: %v", got, code, err)
	}
	for _, s := range says {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not say %q", err, s)
		}
	}
}

// fakeOrigin takes pushes as an origin does, as far as a pusher can see: lines, a header in a CSV, and lines with BAD in
// them are bad. Everything else is a delta.
type fakeOrigin struct {
	url string

	mu     sync.Mutex
	types  []string
	lines  []string // of all pushes, without headers and blank lines
	pushes int
	busy   int
	onPush func(n int) *scanedge.Problem // before the push is read
}

func newFakeOrigin(t *testing.T) *fakeOrigin {
	o := new(fakeOrigin)
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func (o *fakeOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.busy++
	n, together := o.pushes+1, o.busy
	o.mu.Unlock()
	var refused *scanedge.Problem
	if o.onPush != nil {
		refused = o.onPush(n)
	}
	body, _ := io.ReadAll(r.Body)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy--
	if r.URL.Path != "/v1/issuers/demo-a/deltas" || r.Header.Get("Authorization") != "Bearer token" || together > 1 {
		refused = scanedge.NewProblem(scanedge.NoToken, fmt.Sprintf("%s, %d at once", r.URL, together))
	}
	var receipt scanedge.Receipt
	if refused == nil {
		receipt, refused = o.take(r.Header.Get("Content-Type"), string(body))
	}
	if refused != nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(refused.Status)
		_, _ = w.Write(refused.JSON())
		return
	}
	_ = json.NewEncoder(w).Encode(receipt)
}

func (o *fakeOrigin) take(contentType, body string) (scanedge.Receipt, *scanedge.Problem) {
	bad := scanedge.NewProblem(scanedge.BadLines, "")
	var rows []string
	n := 0
	for line := range strings.Lines(body) {
		n++
		if strings.Contains(line, "BAD") {
			if bad.Bad++; bad.Bad <= 2 {
				bad.Lines = append(bad.Lines, scanedge.BadLine{Line: n, Field: "status", Why: "unknown"})
			}
		}
		if isHeader := n == 1 && contentType == scanedge.CSV; !isHeader && strings.TrimSpace(line) != "" {
			rows = append(rows, line)
		}
	}
	if bad.Bad > 0 {
		return scanedge.Receipt{}, bad
	}
	if len(rows) == 0 {
		return scanedge.Receipt{}, scanedge.NewProblem(scanedge.NoDeltas, "")
	}
	o.types = append(o.types, contentType)
	o.lines = append(o.lines, rows...)
	o.pushes++
	return scanedge.Receipt{Offset: uint64(10 * o.pushes), Count: len(rows)}, nil
}

func (o *fakeOrigin) push(t *testing.T, stdin io.Reader, file string, flags ...string) (string, error) {
	args := []string{"push", "--origin", o.url, "--token", "token", "--retry", "0", "--state", t.TempDir(), "demo-a", file}
	return verb(t.Context(), stdin, append(args, flags...)...)
}

// inFleet enters a folder where a fleet runs.
func inFleet(t *testing.T, up fleet.Up) {
	t.Helper()
	t.Chdir(t.TempDir())
	b, err := json.Marshal(up)
	if err == nil {
		err = errors.Join(os.Mkdir("var", 0o700), os.WriteFile(defaultUp, b, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// judge is what the fake edge knows: the subject is its status, and only a few are known.
func judge(code string) scanedge.Answer {
	issuer, subject, ok := strings.Cut(code, ":")
	age := int64(1240)
	v := scanedge.Verdict{Issuer: issuer, Status: scanedge.Status(subject), Offset: 17, AgeMS: &age}
	switch {
	case !ok || subject == "":
		return scanedge.Answer{Error: scanedge.MalformedCode}
	case issuer != "demo-a" && issuer != "城市":
		return scanedge.Answer{Error: scanedge.IssuerNotHeld}
	case subject == "red":
		v.Reason, v.Until = 5, time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	case subject == "void":
		v.AgeMS, v.Stale = nil, true
	case subject != "green":
		return scanedge.Answer{Error: scanedge.UnknownSubject}
	}
	return scanedge.Answer{Verdict: v}
}

func fakeEdge(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(word scanedge.ProblemType) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(word.Status())
			_, _ = w.Write(scanedge.NewProblem(word, "").JSON())
		}
		if r.Header.Get("Authorization") != "Bearer key" {
			refuse(scanedge.NoKey)
			return
		}
		if raw, one := strings.CutPrefix(r.RequestURI, "/v1/scan/"); one {
			code, _ := url.PathUnescape(raw)
			if a := judge(code); a.Error != "" {
				refuse(a.Error)
			} else {
				_ = json.NewEncoder(w).Encode(a)
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		for line := range strings.Lines(string(body)) {
			_ = json.NewEncoder(w).Encode(judge(strings.TrimRight(line, "\r\n")))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
