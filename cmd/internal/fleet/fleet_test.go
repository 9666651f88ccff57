package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

func TestStartSaysWhatRunsWhereAndStopTakesItBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "var")
	f, _ := start(t, Config{Dir: dir, Edges: 3, Subjects: 207})
	up, err := LoadUp(filepath.Join(dir, UpFile))
	if err != nil {
		t.Fatal(err)
	}
	if now := f.Up(); !reflect.DeepEqual(*up, now) {
		t.Errorf("up.json says %+v, Up %+v", *up, now)
	}
	if st, err := os.Stat(f.Path()); err != nil || st.Mode() != 0o600 {
		t.Errorf("up.json holds keys, its mode is %v (%v)", st.Mode(), err)
	}
	if up.PushToken != "P" || up.ScannerKey != "K" || up.AdminToken != "A" || up.Subjects != 207 || up.CA != "" {
		t.Errorf("up.json: %+v", up)
	}
	if !slices.Equal(up.Issuers, DemoIssuers) || len(up.Edges) != 3 || up.Edges[2].Name != "edge-3" {
		t.Errorf("up.json: %+v", up)
	}
	for _, addr := range addresses(*up) {
		if !answers(addr) {
			t.Errorf("nothing listens at %s", addr)
		}
	}
	for _, pid := range pids(*up) {
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			t.Errorf("pid %d is in the process group %d (%v): Ctrl-C would reach it before the fleet can stop it", pid, group, err)
		}
	}
	if got, want := pushed(t, dir), population(207); !reflect.DeepEqual(got, want) {
		t.Errorf("the origin holds %d and %d subjects, want %d and %d", len(got["demo-a"]), len(got["demo-b"]),
			len(want["demo-a"]), len(want["demo-b"]))
	}

	f.Stop()
	f.Stop()
	if _, err := LoadUp(f.Path()); err == nil || !strings.Contains(err.Error(), "scanedge up --dir "+dir) {
		t.Errorf("up.json after Stop: %v", err)
	}
	gone(t, *up)
	ends := strings.Fields(readFile(t, filepath.Join(dir, "ends")))
	if len(ends) != 4 || ends[3] != "origin" {
		t.Errorf("stopped in the order %q, want the origin last", ends)
	}
}

func TestStartPushesOnlyWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	pushes := 0
	for _, step := range []struct{ subjects, pushes int }{
		{0, 0}, {101, 2}, {101, 0}, {37, 2}, {38, 1}, {301, 2}, {300, 1}, {0, 2}, {2, 2},
	} {
		f, _ := start(t, Config{Dir: dir, Edges: 1, Subjects: step.subjects})
		f.Stop()
		if got, want := pushed(t, dir), population(step.subjects); !reflect.DeepEqual(got, want) {
			t.Fatalf("after a start with %d subjects the origin holds %d and %d", step.subjects, len(got["demo-a"]), len(got["demo-b"]))
		}
		if now := strings.Count(readFileNow(filepath.Join(dir, "origin", "pushed")), " end\n"); now-pushes != step.pushes {
			t.Errorf("a start with %d subjects made %d pushes, want %d", step.subjects, now-pushes, step.pushes)
		} else {
			pushes = now
		}
	}
}

func TestStartMendsWhatAnEarlierOneLeftHalfDone(t *testing.T) {
	dir := t.TempDir()
	demo := filepath.Join(dir, "demo.json")
	for _, left := range []string{
		`{"version":1,"subjects":60,"touched":180}`, // growing from 60 to 180
		`{"version":1,"subjects":0,"touched":180}`,
	} {
		f, _ := start(t, Config{Dir: dir, Edges: 1, Subjects: 180})
		f.Stop()
		must(t, os.WriteFile(demo, []byte(left), 0o600))
		f, _ = start(t, Config{Dir: dir, Edges: 1, Subjects: 90})
		f.Stop()
		if got := pushed(t, dir); !reflect.DeepEqual(got, population(90)) {
			t.Errorf("after %s and a start with 90, the origin holds %d and %d", left, len(got["demo-a"]), len(got["demo-b"]))
		}
	}

	must(t, os.RemoveAll(filepath.Join(dir, "origin"))) // the origin forgets; demo.json does not
	f, _ := start(t, Config{Dir: dir, Edges: 1, Subjects: 90})
	f.Stop()
	if got := pushed(t, dir); !reflect.DeepEqual(got, population(90)) {
		t.Errorf("after the origin's data was removed it holds %d and %d", len(got["demo-a"]), len(got["demo-b"]))
	}

	must(t, os.WriteFile(demo, []byte(`{"version":2,"subjects":90}`), 0o600))
	if _, err := tryStart(t, Config{Dir: dir, Edges: 1, Subjects: 90}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("demo.json of a later version: %v", err)
	}
}

// A start that fails while it grows the population leaves behind what the next one, with fewer, must remove.
func TestStartMendsAGrowthThatFailed(t *testing.T) {
	dir := t.TempDir()
	f, _ := start(t, Config{Dir: dir, Edges: 1, Subjects: 20})
	f.Stop()
	t.Setenv("FLEET_FAKE_FORBID", "demo-b")
	_, err := tryStart(t, Config{Dir: dir, Edges: 1, Subjects: 60})
	var refusal *scanedge.Problem
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "pushing the demo subjects: push to demo-b") {
		t.Fatalf("with pushes to demo-b forbidden: %v", err)
	}
	if got := len(pushed(t, dir)["demo-a"]); got != 30 {
		t.Fatalf("of demo-a, %d subjects came through", got)
	}
	t.Setenv("FLEET_FAKE_FORBID", "")
	f, _ = start(t, Config{Dir: dir, Edges: 1, Subjects: 20})
	f.Stop()
	if got := pushed(t, dir); !reflect.DeepEqual(got, population(20)) {
		t.Errorf("the origin holds %d and %d", len(got["demo-a"]), len(got["demo-b"]))
	}
}

func TestStartOutlivesAnOriginThatDiesWhilePushing(t *testing.T) {
	t.Setenv("FLEET_FAKE_DIE_PUSHING", "origin")
	dir := t.TempDir()
	_, notes := start(t, Config{Dir: dir, Edges: 1, Subjects: 50})
	if got := pushed(t, dir); !reflect.DeepEqual(got, population(50)) {
		t.Errorf("the origin holds %v", got)
	}
	for _, want := range []string{"origin (pid ", "exit status 1", "    out of memory", "origin is up again", "is tried again"} {
		if !strings.Contains(notes.String(), want) {
			t.Errorf("the notices lack %q:\n%s", want, notes)
		}
	}
}

func TestDeadChildComesBackOnItsOldAddresses(t *testing.T) {
	f, notes := start(t, Config{Dir: t.TempDir(), Edges: 2, Subjects: 10})
	before := f.Up()
	for _, c := range []struct {
		name string
		pid  func(Up) int
	}{
		{"edge-2", func(up Up) int { return up.Edges[1].PID }},
		{"origin", func(up Up) int { return up.OriginPID }},
		{"edge-1", func(up Up) int { return up.Edges[0].PID }},
	} {
		old := c.pid(f.Up())
		must(t, syscall.Kill(old, syscall.SIGKILL))
		eventually(t, func() error {
			up, err := LoadUp(f.Path())
			if err == nil && c.pid(*up) == old {
				err = fmt.Errorf("up.json still says that pid %d is %s", old, c.name)
			}
			return err
		})
		died := fmt.Sprintf("%s (pid %d) died: signal: killed; the end of %s", c.name, old, filepath.Join(f.cfg.Dir, c.name+".log"))
		for _, want := range []string{died, "    fake " + c.name + " starts", c.name + " is up again"} {
			eventually(t, func() error {
				if !strings.Contains(notes.String(), want) {
					return fmt.Errorf("the notices lack %q:\n%s", want, notes)
				}
				return nil
			})
		}
	}
	after := f.Up()
	if !slices.Equal(addresses(after), addresses(before)) {
		t.Errorf("addresses were %q, are %q", addresses(before), addresses(after))
	}
	for _, addr := range addresses(after) {
		if !answers(addr) {
			t.Errorf("nothing listens at %s", addr)
		}
	}
	f.Stop()
	gone(t, after)
}

func TestStartFailsWhenAChildNeverListens(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	dir := t.TempDir()
	_, err = tryStart(t, Config{Dir: dir, Edges: 2, Listen: taken.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "edge-1 (pid ") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("with its port taken: %v", err)
	}
	if ends := readFile(t, filepath.Join(dir, "ends")); !strings.HasSuffix(ends, "origin\n") {
		t.Errorf("stopped were %q", ends)
	}
	if _, err := os.Stat(filepath.Join(dir, UpFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("up.json after a failed start: %v", err)
	}

	leftover := filepath.Join(dir, "origin", "listening.json")
	must(t, os.WriteFile(leftover, []byte(`{"pid":1}`), 0o600))
	t.Setenv("FLEET_FAKE_REFUSE", "origin")
	if _, err := tryStart(t, Config{Dir: dir, Edges: 2}); err == nil || !strings.Contains(err.Error(), "    origin refuses to start") {
		t.Errorf("with an origin that refuses: %v", err)
	}
	if readFileNow(leftover) != "" {
		t.Error("what an earlier life said of itself was there when the next began")
	}
	if _, err := tryStart(t, Config{Dir: dir, Edges: 1, Exe: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a binary: %v", err)
	}
}

// Start waits for the readiness of each, and while it waits its context ends it.
func TestStartWaitsUntilItsContextEnds(t *testing.T) {
	for _, unready := range []string{"origin", "edge-2"} {
		t.Setenv("FLEET_FAKE_UNREADY", unready)
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		go func() {
			for _, name := range []string{"edge-1", "edge-2"} {
				for readFileNow(filepath.Join(dir, name, "listening.json")) == "" {
					time.Sleep(time.Millisecond)
				}
			}
			cancel()
		}()
		_, err := Start(ctx, Config{Exe: self(t), Dir: dir, Edges: 2})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Start while %s is not ready: %v", unready, err)
		}
		ends := strings.Fields(readFile(t, filepath.Join(dir, "ends")))
		if len(ends) != 3 || ends[2] != "origin" {
			t.Errorf("stopped were %q", ends)
		}
	}
}

func TestStartWaitsUntilEveryEdgeHoldsWhatWasPushed(t *testing.T) {
	t.Setenv("FLEET_FAKE_SLOW", "edge-2")
	f, _ := start(t, Config{Dir: t.TempDir(), Edges: 2, Subjects: 20})
	for _, e := range f.Up().Edges {
		m, err := ReadMetrics(t.Context(), e.Admin)
		must(t, err)
		if held, _ := m.Issuer("scanedge_subjects", "demo-b"); held != 10 {
			t.Errorf("after Start, %s holds %v subjects of demo-b", e.Name, held)
		}
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	t.Setenv("FLEET_FAKE_STUBBORN", "edge-1")
	defer func(d time.Duration) { endWait = d }(endWait)
	endWait = 300 * time.Millisecond
	f, notes := start(t, Config{Dir: t.TempDir(), Edges: 1})
	up := f.Up()
	f.Stop()
	gone(t, up)
	if !strings.Contains(notes.String(), "edge-1 (pid ") || !strings.Contains(notes.String(), "killing it") {
		t.Errorf("notices: %s", notes)
	}
}

func TestOneFleetAFolder(t *testing.T) {
	dir := t.TempDir()
	first, _ := start(t, Config{Dir: dir, Edges: 1})
	if _, err := tryStart(t, Config{Dir: dir, Edges: 1}); err == nil || !strings.Contains(err.Error(), "already up in "+dir) {
		t.Errorf("a second start: %v", err)
	}
	if _, err := LoadUp(first.Path()); err != nil {
		t.Errorf("after a second start was refused: %v", err)
	}
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := tryStart(t, Config{Dir: filepath.Join(file, "var"), Edges: 1}); err == nil || !strings.Contains(err.Error(), "choose") {
		t.Errorf("a folder that cannot be made: %v", err)
	}
}

// The children of a killed fleet end by themselves, and a start right after it waits for them: they hold the same port.
func TestKilledFleetLeavesNobody(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(self(t), dir)
	parent.Env = append(os.Environ(), "FLEET_FAKE=parent")
	parent.Stderr = os.Stderr
	stdin, err := parent.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	word := make([]byte, 3)
	if _, err := stdout.Read(word); err != nil || string(word) != "up\n" {
		t.Fatalf("the parent says %q: %v", word, err)
	}
	up, err := LoadUp(filepath.Join(dir, UpFile))
	must(t, err)
	must(t, parent.Process.Kill())
	_ = parent.Wait()

	u, err := url.Parse(up.Edges[0].Scan)
	must(t, err)
	f, _ := start(t, Config{Dir: dir, Edges: 2, Subjects: 10, Listen: u.Host})
	ends := strings.Fields(readFile(t, filepath.Join(dir, "ends")))
	slices.Sort(ends)
	if !slices.Equal(ends, []string{"edge-1", "edge-2", "origin"}) {
		t.Errorf("of the killed fleet's children, %q had drained and ended before the next start", ends)
	}
	if now := f.Up(); now.Edges[0].Scan != up.Edges[0].Scan {
		t.Errorf("the first edge is at %s, was told %s", now.Edges[0].Scan, u.Host)
	}
}
