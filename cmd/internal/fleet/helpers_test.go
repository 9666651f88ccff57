package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// notices collects what is said to people.
type notices struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (n *notices) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(b)
}

func (n *notices) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// self is the test binary; as a child it plays an origin or an edge.
func self(t *testing.T) string {
	t.Helper()
	t.Setenv("FLEET_FAKE", "child")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a second for every child's end
	exe, err := os.Executable()
	must(t, err)
	return exe
}

func tryStart(t *testing.T, cfg Config) (*Fleet, error) {
	t.Helper()
	if exe := self(t); cfg.Exe == "" {
		cfg.Exe = exe
	}
	f, err := Start(t.Context(), cfg)
	if err == nil {
		t.Cleanup(f.Stop)
	}
	return f, err
}

func start(t *testing.T, cfg Config) (*Fleet, *notices) {
	t.Helper()
	n := new(notices)
	cfg.Log = n
	f, err := tryStart(t, cfg)
	if err != nil {
		t.Fatalf("%v\n%s", err, n)
	}
	return f, n
}

// population is the model: what each issuer holds with that many demo subjects, each subject's delta.
func population(subjects int) map[string]map[string]scanedge.Delta {
	want := map[string]map[string]scanedge.Delta{"demo-a": {}, "demo-b": {}}
	for i := range subjects { // dealt like cards
		issuer, n := DemoIssuers[i%2], i/2+1
		d := scanedge.Delta{Subject: fmt.Sprintf("d%09d", n), Status: "green"}
		switch n % 100 {
		case 7:
			d.Status = "yellow"
		case 13:
			d.Status = "red"
		case 21:
			d.Status = "void"
		case 29:
			d.Until = time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)
		}
		want[issuer][d.Subject] = d
	}
	return want
}

// pushed is what the fake origin of the fleet in dir holds.
func pushed(t *testing.T, dir string) map[string]map[string]scanedge.Delta {
	t.Helper()
	got := map[string]map[string]scanedge.Delta{"demo-a": {}, "demo-b": {}}
	for line := range strings.Lines(readFileNow(filepath.Join(dir, "origin", "pushed"))) {
		issuer, delta, _ := strings.Cut(strings.TrimSpace(line), " ")
		if delta == "end" {
			continue
		}
		var d scanedge.Delta
		must(t, json.Unmarshal([]byte(delta), &d))
		got[issuer][d.Subject] = d
		if d.Remove {
			delete(got[issuer], d.Subject)
		}
	}
	return got
}

func addresses(up Up) []string {
	all := []string{up.Origin, up.OriginTLS, up.OriginAdmin}
	for _, e := range up.Edges {
		all = append(all, e.Scan, e.ScanTLS, e.Admin)
	}
	return all
}

func pids(up Up) []int {
	all := []int{up.OriginPID}
	for _, e := range up.Edges {
		all = append(all, e.PID)
	}
	return all
}

func answers(addr string) bool {
	u, err := url.Parse(addr)
	if err != nil {
		return false
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// gone checks that no process of up is left.
func gone(t *testing.T, up Up) {
	t.Helper()
	for _, pid := range pids(up) {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("pid %d is still there: %v", pid, err)
		}
	}
}

// eventually asks until the answer is nil; far beyond what is needed, it gives up.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func readFileNow(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
