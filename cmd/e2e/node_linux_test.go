package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
	"github.com/scanedge/scanedge/sync/enrol"
)

// node is a process under test. The test alone starts and kills it; each life listens where the first one did. When the test
// ends it is killed, and its log is searched for races and panics.
type node struct {
	t       *testing.T
	name    string
	dir     string
	argv    []string
	sockets []socket

	cmd   *exec.Cmd
	ended chan struct{} // closed when the present life has ended
	kept  bool          // it is started again whenever it ends, also before it listened
	at    addresses     // the same in every life
	said  string        // path of what it logs

	// An origin's tokens.
	pushToken, scannerKey, adminToken string
}

// socket is a listen flag, its value, and how a process calls the place when it announces it.
type socket struct {
	flag, addr string
	got        func(addresses) string
}

// addresses are what a process writes into listening.json.
type addresses struct {
	PID                       int
	API, TLS, Admin, CA, Scan string
	ScanTLS                   string `json:"scan_tls"`
}

// newOrigin makes an origin, which is to be started.
func newOrigin(t *testing.T, exe string, more ...string) *node {
	t.Helper()
	return &node{
		t: t, name: "origin", dir: filepath.Join(t.TempDir(), "origin"), argv: append([]string{exe, "origin"}, more...),
		sockets: []socket{
			{"--listen", "127.0.0.1:0", func(a addresses) string { return a.API }},
			{"--admin-listen", "127.0.0.1:0", func(a addresses) string { return a.Admin }},
			{"--tls-listen", "127.0.0.1:0", func(a addresses) string { return a.TLS }},
		},
	}
}

// startOrigin starts an origin with more flags and waits until it takes pushes.
func startOrigin(t *testing.T, exe string, more ...string) *node {
	t.Helper()
	n := newOrigin(t, exe, more...)
	n.beginOrigin()
	return n
}

// beginOrigin is begin for an origin, which also has tokens.
func (n *node) beginOrigin() {
	n.t.Helper()
	n.begin()
	var tokens struct {
		Push    string `json:"push_token"`
		Scanner string `json:"scanner_key"`
		Admin   string `json:"admin_token"`
	}
	if !readJSON(filepath.Join(n.dir, "tokens.json"), &tokens) {
		n.t.Fatal("the origin listens, but there are no tokens")
	}
	n.pushToken, n.scannerKey, n.adminToken = tokens.Push, tokens.Scanner, tokens.Admin
}

// run runs a verb of an operator of this origin, which must not fail, and returns what it says.
func (n *node) run(args ...string) string {
	n.t.Helper()
	cmd := exec.Command(releaseBin, append(args, "--origin", n.at.API)...)
	cmd.Env = append(os.Environ(), "SCANEDGE_TOKEN="+n.adminToken)
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// edges counts the edges of all tests, for their names; edgeDirs is their folders, by name.
var (
	edges    atomic.Int64
	edgeDirs sync.Map
)

// enrol makes an edge known to the origin, and returns the token that it joins with.
func (n *node) enrol(name string, issuers ...string) string {
	n.t.Helper()
	var e scanedge.Enrolment
	err := scanedge.NewOperator(n.at.API, n.adminToken).Call(n.t.Context(), "enrol "+name, http.MethodPut, "/v1/edges/"+name,
		map[string]any{"issuers": issuers}, &e)
	if err != nil {
		n.t.Fatal(err)
	}
	return e.Token
}

// newEdge makes an edge that an origin, which runs, has enrolled for all issuers. It is to be started.
func newEdge(t *testing.T, exe string, origin *node, more ...string) *node {
	t.Helper()
	n := newEdgeOf(t, exe, origin, enrol.All)
	n.argv = append(n.argv, more...)
	return n
}

// newEdgeOf makes an edge that is enrolled for some issuers.
func newEdgeOf(t *testing.T, exe string, origin *node, issuers ...string) *node {
	t.Helper()
	name := fmt.Sprintf("edge-%d", edges.Add(1))
	n := &node{t: t, name: name, dir: filepath.Join(t.TempDir(), name)}
	edgeDirs.Store(name, n.dir)
	n.argv = []string{exe, "edge", "--join", origin.enrol(name, issuers...)}
	n.sockets = []socket{
		{"--listen", "127.0.0.1:0", func(a addresses) string { return a.Scan }},
		{"--tls-listen", "127.0.0.1:0", func(a addresses) string { return a.ScanTLS }},
		{"--admin-listen", "127.0.0.1:0", func(a addresses) string { return a.Admin }},
	}
	return n
}

// startEdge starts an edge and waits until it listens; not until it is ready.
func startEdge(t *testing.T, exe string, origin *node, more ...string) *node {
	t.Helper()
	n := newEdge(t, exe, origin, more...)
	n.begin()
	return n
}

// startEdges starts so many edges and waits until all are ready.
func startEdges(t *testing.T, count int, exe string, origin *node, more ...string) []*node {
	t.Helper()
	all := make([]*node, count)
	for i := range all {
		all[i] = startEdge(t, exe, origin, more...)
	}
	for _, e := range all {
		e.awaitReady()
	}
	return all
}

// begin is start for the first life.
func (n *node) begin() {
	n.t.Helper()
	n.said = filepath.Join(n.t.TempDir(), n.name+".log")
	n.t.Cleanup(n.bury)
	n.at = n.start()
	for i, s := range n.sockets {
		u, err := url.Parse(s.got(n.at))
		if err != nil || u.Port() == "" {
			n.t.Fatalf("%s announces %+v", n.name, n.at)
		}
		n.sockets[i].addr = s.addr[:strings.LastIndex(s.addr, ":")+1] + u.Port()
	}
}

// start begins a life, waits until the process listens, and returns where.
func (n *node) start() (at addresses) {
	n.t.Helper()
	argv := append(slices.Clone(n.argv), "--dir", n.dir)
	for _, s := range n.sockets {
		argv = append(argv, s.flag, s.addr)
	}
	n.launch(argv)
	eventually(n.t, n.name+" listening", func() bool {
		if n.gone() && n.kept {
			time.Sleep(500 * time.Millisecond)
			n.launch(argv)
		} else if n.gone() {
			n.t.Fatalf("%s ended before it listened: %v\n%s", n.name, n.cmd.ProcessState, tail(n.log()))
		}
		return readJSON(filepath.Join(n.dir, "listening.json"), &at) && at.PID == n.cmd.Process.Pid
	})
	return at
}

// launch begins a process, and no more.
func (n *node) launch(argv []string) {
	n.t.Helper()
	out, err := os.OpenFile(n.said, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer out.Close()
	n.cmd = exec.Command(argv[0], argv[1:]...)
	n.cmd.Stdout, n.cmd.Stderr = out, out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := spawn(n.cmd); err != nil {
		n.t.Fatalf("start %s: %v", n.name, err)
	}
	cmd, ended := n.cmd, make(chan struct{})
	n.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
}

// spawns are done by one thread that never ends: with it the kernel would kill what it started.
var spawns = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for f := range spawns {
			f()
		}
	}()
}

func spawn(cmd *exec.Cmd) error {
	err := make(chan error)
	spawns <- func() { err <- cmd.Start() }
	return <-err
}

func (n *node) gone() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

func (n *node) signal(sig syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.t.Fatalf("%v to %s: %v", sig, n.name, err)
	}
}

// kill is kill -9. The process may have ended by itself.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// stop ends the process as an operator would.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	<-n.ended
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.t.Errorf("%s ended with %v\n%s", n.name, n.cmd.ProcessState, tail(n.log()))
	}
}

// keepUp starts the process again whenever it ends, as a supervisor does, until the test ends. From then on the test is to use
// killKept instead of kill and start.
func (n *node) keepUp() {
	n.kept = true
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for lives := 1; ; lives++ {
			select {
			case <-n.ended:
				n.t.Logf("%s ended its life number %d", n.name, lives)
				n.start()
			case <-stop:
				return
			}
		}
	}()
	n.t.Cleanup(func() { close(stop); <-stopped })
}

// killKept is kill -9 of a process that is kept up; it returns once another life has begun.
func (n *node) killKept() {
	n.t.Helper()
	var was, is addresses
	path := filepath.Join(n.dir, "listening.json")
	if !readJSON(path, &was) || syscall.Kill(was.PID, syscall.SIGKILL) != nil {
		n.t.Fatalf("%s is not there to be killed: %+v", n.name, was)
	}
	eventually(n.t, n.name+" up again", func() bool { return readJSON(path, &is) && is.PID != was.PID })
}

func (n *node) bury() {
	if n.cmd == nil || n.cmd.Process == nil {
		return
	}
	n.kill()
	log := n.log()
	for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: "} {
		if at := bytes.Index(log, []byte(bad)); at >= 0 {
			n.t.Errorf("%s: %.4000s", n.name, log[at:])
		}
	}
	if n.t.Failed() {
		n.t.Logf("the end of what %s said:\n%s", n.name, tail(log))
	}
}

// log is what the process has said in all its lives.
func (n *node) log() []byte {
	b, err := os.ReadFile(n.said)
	if err != nil {
		n.t.Error(err)
	}
	return b
}

func tail(log []byte) []byte { return log[max(0, len(log)-6000):] }

func (n *node) ready() bool {
	res, err := local.Get(n.at.Admin + "/readyz")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func (n *node) awaitReady() {
	n.t.Helper()
	eventually(n.t, n.name+" ready", n.ready)
}

// metric reads a series of an issuer; NaN-free: what is not there is -1.
func (n *node) metric(family, issuer string) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	m, err := fleet.ReadMetrics(ctx, n.at.Admin)
	if err != nil {
		return -1
	}
	if v, ok := m.Issuer(family, issuer); ok {
		return v
	}
	return -1
}

// scanner asks an edge as a gate does; the origin made its key.
func (n *node) scanner(origin *node) *scanedge.Edge {
	return scanedge.NewEdge(n.at.Scan, origin.scannerKey)
}

// scannerTLS is scanner over TLS.
func (n *node) scannerTLS(origin *node) *scanedge.Edge {
	n.t.Helper()
	edge := scanedge.NewEdge(n.at.ScanTLS, origin.scannerKey)
	edge.TrustCA(origin.trust())
	return edge
}

// trust is an origin's CA.
func (n *node) trust() *x509.CertPool {
	n.t.Helper()
	b, err := os.ReadFile(n.at.CA)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(b) {
		n.t.Fatalf("no CA in %q: %v", n.at.CA, err)
	}
	return pool
}

// awaitOffset waits until the edges are at an offset and vouch for it.
func awaitOffset(t *testing.T, all []*node, issuer string, offset uint64) {
	t.Helper()
	for _, e := range all {
		eventually(t, fmt.Sprintf("%s at offset %d and vouching", e.name, offset), func() bool {
			age := e.metric("scanedge_age_ms", issuer)
			return e.metric("scanedge_offset", issuer) >= float64(offset) && age >= 0 && age < 3000
		})
	}
}

// diskUse is how much the files below a folder take, in bytes.
func diskUse(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // it went away meanwhile
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return sum
}
