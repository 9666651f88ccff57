package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// dayReport is what scripts may rely on in report.json.
type dayReport struct {
	Valid    bool
	Reasons  []string
	Planned  int
	Sent     int
	Unsent   int
	Outcomes map[string]int
	Wrong    int
	Examples []struct{ Code, Edge, Expected, Got string }
	Kinds    []struct {
		Name              string
		Requests, Dialled int
	}
	Rules []rule
}

type rule struct {
	Name string
	Kept bool
}

// benchDay plays a short day on a fleet, and returns its exit code, output and report. A machine that stalls makes a run
// invalid, or slow, rightly; such a run is played again, for it proves nothing either way.
func benchDay(t *testing.T, upFile string, more ...string) (code int, out string, r dayReport) {
	t.Helper()
	for range 3 {
		code, out, r = playDay(t, upFile, more...)
		if slow := code == 1 && r.Wrong == 0; !slow && (code != 3 || !slices.ContainsFunc(r.Reasons, ofTheMachine)) {
			break
		}
		t.Log(r.Reasons)
	}
	return code, out, r
}

// ofTheMachine tells whether a reason may be that the machine was busy.
func ofTheMachine(why string) bool {
	for _, prefix := range []string{"visits were sent late", "visits were sent in bursts", "what was sent is not", "Little's law", "no processor time"} {
		if strings.HasPrefix(why, prefix) {
			return true
		}
	}
	return false
}

func playDay(t *testing.T, upFile string, more ...string) (int, string, dayReport) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "report")
	args := append([]string{"bench", "day", "--up", upFile, "--visits", "4000", "--duration", "4s", "--out", dir}, more...)
	out, err := exec.Command(bin, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	if i := slices.Index(more, "--out"); i >= 0 {
		dir = more[i+1]
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatalf("%v; exit %d: %s", err, code, out)
	}
	var r dayReport
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range r.Outcomes {
		sum += n
	}
	if r.Planned != r.Sent+r.Unsent || r.Sent != sum {
		t.Errorf("the accounts do not add up: %+v", r)
	}
	return code, string(out), r
}

// The same seed twice on the same fleet: a run leaves nothing behind that the next could trip over.
func TestBenchDayIsValidAndRepeatable(t *testing.T) {
	_, dir := startFleet(t, 10_000)
	for round := range 2 {
		code, out, r := benchDay(t, filepath.Join(dir, "up.json"), "--seed", "7")
		if code != 0 || !r.Valid || r.Wrong != 0 || r.Planned != 4000 || r.Unsent != 0 || !strings.Contains(out, "\nVALID\n") {
			t.Errorf("round %d: exit %d, %+v\n%s", round, code, r, out)
		}
	}
}

// A scenario over every kind of connection, TLS too: all are used, all is right, the edges count the same, and vegeta reads the samples.
func TestBenchDayOverEveryKindOfConnection(t *testing.T) {
	_, dir := startFleet(t, 10_000)
	b, err := os.ReadFile("../../bench/day/scenarios/launch-day.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mixed := regexp.MustCompile(`(?s)connections:.*sources:`).ReplaceAll(b,
		[]byte("connections: {pipelined: 40, kept: 40, new: 15, new_tls: 5}\nsources:"))
	scenario, out := filepath.Join(dir, "mixed.yaml"), filepath.Join(dir, "out")
	if err := os.WriteFile(scenario, mixed, 0o600); err != nil {
		t.Fatal(err)
	}
	code, said, r := benchDay(t, filepath.Join(dir, "up.json"), "--scenario", scenario, "--out", out)
	if others := slices.DeleteFunc(r.Reasons, ofTheMachine); len(others) > 0 || r.Wrong != 0 || len(r.Kinds) != 4 {
		t.Fatalf("exit %d, %+v\n%s", code, r, said) // handshakes take a busy machine long, which is another matter
	}
	for _, k := range r.Kinds {
		if k.Requests < 100 || k.Dialled < 1 || strings.HasPrefix(k.Name, "new") != (k.Dialled == k.Requests) {
			t.Errorf("%+v", k)
		}
	}
	if i := slices.IndexFunc(r.Rules, func(rule rule) bool { return rule.Name == "edges' own counters" }); i < 0 || !r.Rules[i].Kept {
		t.Errorf("rules %+v", r.Rules)
	}
	f, err := os.Open(filepath.Join(out, "samples.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decode, samples := vegeta.NewDecoder(f), 0
	for hit := new(vegeta.Result); decode(hit) == nil; samples++ {
		if hit.Code == 0 || hit.Latency <= 0 {
			t.Fatalf("%+v", hit)
		}
	}
	if samples != r.Sent {
		t.Errorf("%d samples of %d visits", samples, r.Sent)
	}
}

// An edge that dies and comes back leaves visits without an answer: the run is invalid, but nothing was wrong.
func TestBenchDayThroughADeathIsInvalid(t *testing.T) {
	f, dir := startFleet(t, 10_000)
	pid := f.Up().Edges[0].PID
	go func() {
		time.Sleep(1500 * time.Millisecond) // into the run; when exactly does not matter
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}()
	code, out, r := playDay(t, filepath.Join(dir, "up.json"))
	if code != 3 || r.Valid || r.Wrong != 0 || r.Outcomes["failed"]+r.Outcomes["refused"] == 0 || !strings.Contains(out, "\nINVALID: ") {
		t.Errorf("exit %d, %+v\n%s", code, r, out)
	}
}

// Behind an edge that lies now and then, the run must say so and exit 1.
func TestBenchDayFindsALyingEdge(t *testing.T) {
	f, dir := startFleet(t, 10_000)
	up := f.Up()
	lied := new(atomic.Int64)
	up.Edges[1].Scan = lyingProxy(t, up.Edges[1].Scan, lied)
	b, err := json.Marshal(up)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "lying.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, r := benchDay(t, path)
	if code != 1 || r.Wrong == 0 || lied.Load() == 0 || len(r.Examples) == 0 || len(r.Examples) > 5 {
		t.Fatalf("exit %d, %d lies, %+v\n%s", code, lied.Load(), r, out)
	}
	for _, e := range r.Examples {
		if !strings.Contains(e.Expected, "red") || !strings.Contains(e.Got, "green") || e.Edge == "" || e.Code == "" {
			t.Errorf("example %+v", e)
		}
	}
	if !strings.Contains(out, r.Examples[0].Code) {
		t.Errorf("the wrong answer is not shown:\n%s", out)
	}
}

// lyingProxy passes requests on byte for byte and answers too, but for every fifth red one, which it makes green.
func lyingProxy(t *testing.T, edge string, lied *atomic.Int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	reds := new(atomic.Int64)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(edge, "http://"))
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { lieTo(client, server, reds, lied); client.Close() }()
		}
	}()
	return "http://" + l.Addr().String()
}

func lieTo(client io.Writer, server io.Reader, reds, lied *atomic.Int64) {
	in := bufio.NewReader(server)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return
		}
		red := []byte(`"status":"red"`)
		if bytes.Contains(body, red) && reds.Add(1)%5 == 0 {
			body = bytes.Replace(body, red, []byte(`"status":"green"`), 1)
			lied.Add(1)
		}
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if res.Write(client) != nil {
			return
		}
	}
}
