package self

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// The test's own binary is the child too.
const childEnv = "SCANEDGE_TEST_SELF_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := Child(os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	return cmd
}

func TestEveryRowIsMeasured(t *testing.T) {
	var steps []string
	r, err := Run(t.Context(), Config{
		Rounds: 2, Slice: 100 * time.Millisecond, Child: child, Progress: func(step string, _ float64) { steps = append(steps, step) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(allRows) - len(r.Skipped); len(r.Rows) != want || len(steps) != 2*want {
		t.Errorf("%d rows, %d steps, skipped %v", len(r.Rows), len(steps), r.Skipped)
	}
	for _, row := range r.Rows {
		if len(r.Rounds[row.Name]) != 2 || row.Rate < 100 || row.Micros <= 0 || row.Micros > 1e6/row.Rate*1.5 {
			t.Errorf("%+v, rounds %v", row, r.Rounds[row.Name])
		}
	}
	for _, name := range []string{"round 1 of 2: check", "round 2 of 2: net/http"} {
		if !strings.Contains(strings.Join(steps, "\n"), name) {
			t.Errorf("no %q in %q", name, steps)
		}
	}
	if n := len(steps); steps[n/2-1][len("round 1"):] != steps[n/2][len("round 2"):] {
		t.Errorf("the second round does not turn back: %q", steps)
	}
	var text strings.Builder
	if err := r.Text(&text); err != nil || !strings.Contains(text.String(), "\ncheck ") || !strings.Contains(text.String(), "to net/http") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, Config{Rounds: 1000, Slice: time.Hour, Child: child, Progress: func(string, float64) { time.AfterFunc(50*time.Millisecond, cancel) }})
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Error(err)
	}
}

// The judge is not asleep: it takes the server's verdict and no other.
func TestScriptJudges(t *testing.T) {
	s := newScript("http://127.0.0.1:1")
	answered := func(body string) load.Judgement {
		var v load.Visit
		s.visit(kept+3, &v)
		return s.day.Judge(&v, &load.Answer{Code: 200, Body: []byte(body), At: time.Now(),
			ContentType: []byte("application/json"), CacheControl: []byte("no-store")})
	}
	if j := answered(answer); j.Wrong != nil {
		t.Error(j.Wrong)
	}
	if j := answered(strings.Replace(answer, "green", "red", 1)); j.Wrong == nil {
		t.Error("red is taken for green")
	}
}

// What is not an answer ends the measurement instead of making it look fast.
func TestChildFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	for _, row := range []string{rowHTTP, rowCarry, rowRecord, rowCheck, "walk"} {
		b, _ := json.Marshal(order{row, gone, 50 * time.Millisecond})
		var out strings.Builder
		if err := Child(strings.NewReader(string(b)), &out); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %q", row, err, out.String())
		}
	}
	if err := Child(strings.NewReader(""), nil); err == nil || !strings.Contains(err.Error(), "reading what to be") {
		t.Error(err)
	}
}

func TestDerive(t *testing.T) {
	r := &Result{Rounds: map[string][]Round{rowHTTP: {{10, 4}, {20, 4}, {40, 4}}, rowCarry: {{20, 2}, {20, 1}, {400, 3}}}}
	r.derive([]Row{{Name: rowHTTP}, {Name: rowCarry}})
	if r.Rows[0].Round != (Round{20, 4}) || r.Rows[1].Round != (Round{20, 2}) {
		t.Errorf("%+v", r.Rows)
	}
	if len(r.Ratios) != 1 || r.Ratios[0] != (Ratio{rowCarry, rowHTTP, 2, 0.5}) {
		t.Errorf("%+v", r.Ratios)
	}
}
