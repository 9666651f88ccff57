package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/limit"
)

// childVariable makes the test's own binary a server, as Config.Child starts it.
const childVariable = "SCANEDGE_SCAN_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	err := Serve(os.Stdin, os.Stdout, Wiring{
		Ready: func(s *edge.Server, issuers []string, key string) {
			s.Hold(issuers)
			s.Admit(func(brought []byte, _ time.Time) (limit.Caller, bool) { return limit.Caller{}, string(brought) == key })
		},
		Serve: func(s *edge.Server, l net.Listener) error { return s.HTTP().Serve(l) }, // without a door, which sheds what a slow machine is late with
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func small(t *testing.T) Config {
	if err := enough(); err != nil {
		t.Skip(err)
	}
	return Config{Subjects: 2000, Rounds: 2, Slice: 30 * time.Millisecond, Dir: t.TempDir(), Child: func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"=1", "GORACE=atexit_sleep_ms=0")
		return cmd
	}}
}

// Every row is measured, or it is said why not. What the figures are does not matter, that they are there does.
func TestRun(t *testing.T) {
	c, last := small(t), 0.0
	c.Progress = func(step string, done float64) {
		if done < last || done > 1 {
			t.Errorf("%s: progress went from %g to %g", step, last, done)
		}
		last = done
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range allRows {
		i := slices.IndexFunc(r.Rows, func(x Row) bool { return x.Name == row.name })
		if why := r.Skipped[row.server]; (i < 0) != (why != "") {
			t.Errorf("%s is row %d, skipped %q", row.name, i, why)
		} else if i >= 0 && (len(r.Rounds[row.name]) != 2 || !(r.Rows[i].Least > 0 && r.Rows[i].Least <= r.Rows[i].Median && r.Rows[i].Median <= r.Rows[i].Most)) {
			t.Errorf("%s: %+v of %v", row.name, r.Rows[i], r.Rounds[row.name])
		}
	}
	if plain, ok := r.inside(rowPlain); !ok || plain.Scans == 0 || plain.P50 <= 0 || plain.P50 > plain.P9999 || plain.EmptyP50 <= 0 {
		t.Errorf("inside: %+v", plain)
	}
	if h := r.Handler; h == nil || !(h.Lookup > 0 && h.Plain > 0 && h.Rolling > 0 && h.Signed > 0 && h.HTTP > h.Floor) {
		t.Errorf("the handler: %+v", h)
	}
	if len(r.Goals) < 9 {
		t.Errorf("goals: %+v", r.Goals)
	}
	var text strings.Builder
	if err := r.Text(&text); err != nil || !strings.Contains(text.String(), "\nplain ") || !strings.Contains(text.String(), "verdicts/s in batches") {
		t.Errorf("%v\n%s", err, &text)
	}
	if left, _ := os.ReadDir(c.Dir); len(left) > 0 {
		t.Errorf("%v were left behind", left)
	}
}

func TestSomeRows(t *testing.T) {
	c := small(t)
	c.Rows, c.Rounds = []string{rowBatch, rowConstant}, 1
	r, err := Run(t.Context(), c)
	if err != nil || len(r.Rows) != 2 || len(r.Ratios) != 0 || len(r.Inside) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	c.Rows = []string{"plane"}
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), `no row "plane"`) {
		t.Errorf("%v", err)
	}
}

// An interrupted run ends, also while it fills a table, and says so.
func TestInterrupted(t *testing.T) {
	c := small(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.Subjects, c.Progress = 50_000_000, func(string, float64) { cancel() }
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// An answer is taken for one when it has come whole, wherever it is cut.
func TestAnswersAreReadWhole(t *testing.T) {
	verdict := "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 11\r\nX: y\r\n\r\n{\"a\":\"b\"}\n\n"
	for what, c := range map[string]struct {
		answer string
		length func([]byte) (int, error)
	}{
		"HTTP":  {verdict, httpLength},
		"batch": {verdict, batchLength(2)},
		"GET":   {"$5\r\ngreen\r\n", redisLength},
		"SET":   {"+OK\r\n", doneLength},
	} {
		for n := range len(c.answer) {
			if got, err := c.length([]byte(c.answer[:n])); n > 0 && (got != 0 || err != nil) {
				t.Errorf("%s cut after %d: %d, %v", what, n, got, err)
			}
		}
		if got, err := c.length([]byte(c.answer + c.answer[:3])); got != len(c.answer) || err != nil {
			t.Errorf("%s: %d, %v", what, got, err)
		}
	}
	for _, c := range []struct {
		answer string
		length func([]byte) (int, error)
	}{
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", httpLength}, {"HTTP/1.1 200 OK\r\n\r\n", httpLength}, {verdict, batchLength(1)},
		{"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"error\":1}\n", batchLength(1)}, {"$-1\r\n", redisLength}, {"-ERR\r\n", redisLength}, {"-ERR\r\n", doneLength},
	} {
		if n, err := c.length([]byte(c.answer)); err == nil {
			t.Errorf("%q is taken for an answer of %d bytes", c.answer, n)
		}
	}
}

// A load ends at the first wrong answer, and when the server hangs up.
func TestWrongAnswersEndTheLoad(t *testing.T) {
	if err := enough(); err != nil {
		t.Skip(err)
	}
	for answer, want := range map[string]string{"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n": "500 Oops", "": "closed"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 1000))
				_, _ = io.WriteString(conn, answer)
				_ = conn.(*net.TCPConn).CloseWrite()
				_ = conn.Close()
			}
		}()
		load := load{addr: l.Addr().String(), conns: 2, ask: newAsks(10).plain, answers: 1, length: httpLength}
		if _, err := load.run(clientCore, time.Minute); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", answer, err)
		}
		_ = l.Close()
		<-done
	}
}
