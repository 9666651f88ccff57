package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/enrol"
)

// TestCommandLine runs the scripts of testdata/cli beside one fleet, whose addresses and tokens they find in their environment.
// They change only subjects of their own. Besides the commands of testscript there are
//
//	exits STATUS COMMAND…         runs a command, which must end with that status; stdout and stderr then look at what it said
//	unprivileged STATUS ARG…      the same for scanedge, run by a user who owns nothing
//	until REGEXP COMMAND…         runs a command again and again until what it prints is like that, for 10 s
//	answers STATUS URL [TOKEN]    gets a URL, whose answer must have that status; stdout then looks at its body
//	member VAR FILE NAME          puts a member of a JSON object into VAR
//	occupy VAR                    takes a port to the script's end; its HOST:PORT is in VAR
//	freeze PID, thaw PID          stops a process and lets it go on, as SIGSTOP and SIGCONT do; it goes on at the script's end in any case
//	terminate                     sends SIGTERM to all that runs in the background
func TestCommandLine(t *testing.T) { runScripts(t, "testdata/cli") }

// What makes issuers and tokens has a fleet of its own, for scripts look at the lists of them.
func TestTarget(t *testing.T) { runScripts(t, "testdata/target") }

// runScripts runs the scripts of a folder at the same time, against one fleet.
func runScripts(t *testing.T, folder string) {
	f, dir := startFleet(t, 2000)
	up := f.Up()
	vars := map[string]string{
		"PATH": filepath.Dir(bin) + string(os.PathListSeparator) + os.Getenv("PATH"), "PUBLIC": publicFolder(t),
		"UP": f.Path(), "FLEET": dir, "ORIGIN": up.Origin, "EDGE": up.Edges[1].Scan,
		"SNAPSHOT": snapshotFile(t), "PUSH_TOKEN": up.PushToken, "SCANNER_KEY": up.ScannerKey, "ADMIN_TOKEN": up.AdminToken,
		"ORIGIN_TLS": up.OriginTLS, "EDGE_TLS": up.Edges[1].ScanTLS, "EDGE_ADMIN": up.Edges[1].Admin, "CA": up.CA,
		"JOIN": enrol.Token{URL: "https://127.0.0.1:1", Secret: strings.Repeat("X", 26)}.String(),
	}
	testscript.Run(t, testscript.Params{
		Dir: folder,
		Setup: func(env *testscript.Env) error {
			for name, value := range vars {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "unprivileged": unprivileged, "until": until,
			"answers": answers, "member": member, "occupy": occupy, "terminate": terminate,
			"freeze": freeze, "thaw": thaw,
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	checkStatus(ts, ts.Exec(args[1], args[2:]...), args[0])
}

func checkStatus(ts *testscript.TestScript, err error, want string) {
	status, exit := 0, (*exec.ExitError)(nil)
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(status) != want {
		ts.Fatalf("exit status %d, not %s", status, want)
	}
}

// publicFolder holds the binary, and a folder in which nobody but root may write. All can enter it, unlike a test's own folders.
func publicFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "scanedge-public-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	shut := filepath.Join(dir, "shut")
	if err := errors.Join(os.Link(bin, filepath.Join(dir, "scanedge")), os.Mkdir(shut, 0o555), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// snapshotFile is a snapshot of 1,000 subjects.
func snapshotFile(t *testing.T) string {
	table := new(cache.Table)
	table.Describe("demo-a", cache.NewSeed().ID())
	for i := range uint64(1000) {
		table.Put(cache.Key{Hi: i << 50, Lo: i}, cache.Record(i))
	}
	file := filepath.Join(t.TempDir(), "demo-a.snapshot")
	f, err := os.Create(file)
	if err == nil {
		_, err = table.WriteTo(f)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func unprivileged(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(filepath.Join(ts.Getenv("PUBLIC"), "scanedge"), args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("PUBLIC"), ts.Stdout(), ts.Stderr()
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	checkStatus(ts, cmd.Run(), args[0])
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	like := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...)
		if like.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %s in 10 s", args[0])
		}
	}
}

func answers(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	if len(args) > 2 {
		req.Header.Set("Authorization", "Bearer "+args[2])
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	if strconv.Itoa(resp.StatusCode) != args[0] {
		ts.Fatalf("%s, not %s", resp.Status, args[0])
	}
}

func member(ts *testscript.TestScript, _ bool, args []string) {
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &object))
	ts.Setenv(args[0], fmt.Sprint(object[args[2]]))
}

func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

func freeze(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Defer(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // or nothing could end it
	ts.Check(syscall.Kill(pid, syscall.SIGSTOP))
}

func thaw(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGCONT))
}

func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}
