package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// endWait is how long a process may drain after SIGTERM before it is killed; a variable for tests.
var endWait = 10 * time.Second

// listening is what a process says once it listens, in DIR/listening.json of its own folder.
type listening struct {
	PID   int    `json:"pid"`
	API   string `json:"api"`
	Admin string `json:"admin"`
	TLS   string `json:"tls"`
	CA    string `json:"ca"`
	Scan  string `json:"scan"`
	Peer  string `json:"peer"`

	ScanTLS string `json:"scan_tls"`
}

// socket is a listen flag: first with the address that was asked for, then with the port that it got.
type socket struct {
	flag, addr string
	got        func(listening) string
}

// child is one supervised process.
type child struct {
	name    string
	dir     string // its data
	log     string // path of its output
	args    []string
	join    string   // the token that an edge joins with, if it has not yet
	sockets []socket // owned by the goroutine that supervises
	adopt   func(listening)

	listened  bool       // owned by the goroutine that supervises
	listenErr chan error // receives once: nil at the first listening, or why it never came
	admin     string     // base URL; set before listenErr receives

	cancel context.CancelFunc // ends it for good
	ended  chan struct{}      // closed when it has, and will not start again
}

func newChild(f *Fleet, name string, sockets []socket, args ...string) *child {
	dir := filepath.Join(f.cfg.Dir, name)
	return &child{
		name: name, dir: dir, log: dir + ".log", args: append(args, "--dir", dir), sockets: sockets,
		listenErr: make(chan error, 1), ended: make(chan struct{}), cancel: func() {},
	}
}

func newOrigin(f *Fleet) *child {
	c := newChild(f, "origin", []socket{
		{"--listen", freePort, func(l listening) string { return l.API }},
		{"--admin-listen", freePort, func(l listening) string { return l.Admin }},
		{"--tls-listen", freePort, func(l listening) string { return l.TLS }},
	}, "origin", "--issuers", strings.Join(DemoIssuers, ","))
	c.adopt = func(l listening) {
		f.update(func(up *Up) {
			up.Origin, up.OriginTLS, up.CA, up.OriginAdmin, up.OriginPID = l.API, l.TLS, l.CA, l.Admin, l.PID
		})
	}
	return c
}

// newEdge makes edge number i, counted from 0; the origin must have listened.
func newEdge(f *Fleet, i int) *child {
	name, listen := fmt.Sprintf("edge-%d", i+1), freePort
	if i == 0 {
		listen = f.cfg.Listen
	}
	c := newChild(f, name, []socket{
		{"--listen", listen, func(l listening) string { return l.Scan }},
		{"--tls-listen", freePort, func(l listening) string { return l.ScanTLS }},
		{"--admin-listen", freePort, func(l listening) string { return l.Admin }},
		{"--peer-listen", freePort, func(l listening) string { return l.Peer }},
	}, "edge", "--origin", f.Up().OriginTLS, "--drain", "1s") // a fleet that is stopped has nobody who could be sent elsewhere
	c.adopt = func(l listening) {
		f.update(func(up *Up) {
			up.Edges[i] = Edge{Name: name, Scan: l.Scan, ScanTLS: l.ScanTLS, Admin: l.Admin, PID: l.PID}
		})
	}
	return c
}

// launch starts the process and keeps it running until cancel is called or it ends without ever having listened.
func (c *child) launch(f *Fleet) {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.ended)
		supervise(ctx, func(ctx context.Context) error { return c.live(ctx, f) },
			func(err error, wait time.Duration) bool {
				if !c.listened {
					c.listenErr <- err
					return false
				}
				f.note("%v\n  starting it again in %v", err, wait)
				return true
			})
	}()
}

// awaitListening waits for the first listening. It must be called at most once.
func (c *child) awaitListening(ctx context.Context) error {
	select {
	case err := <-c.listenErr:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s did not listen: %w", c.name, context.Cause(ctx))
	}
}

// awaitEnd returns when the process has ended for good; one that was never launched has.
func (c *child) awaitEnd() { <-c.ended }

// live is one life of the process, or of those that took over from it one after the other (scanedge edge --take-over). It returns why that
// ended, or nil when ctx ended it.
func (c *child) live(ctx context.Context, f *Fleet) error {
	cmd, from, err := c.start(f)
	if err != nil {
		return fmt.Errorf("starting %s: %w", c.name, err)
	}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		_ = cmd.Wait() // its status is in cmd.ProcessState
	}()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for pid := 0; ; {
		select {
		case <-dead:
			if l, ok := c.successor(cmd.Process.Pid); ok {
				if l.PID != pid {
					c.listens(l, f)
				}
				return c.follow(ctx, l.PID, f)
			}
			return c.obituary(cmd, from)
		case <-ctx.Done():
			if pid != 0 && pid != cmd.Process.Pid {
				c.endSuccessor(pid, f)
			}
			c.end(cmd, dead, f)
			return nil
		case <-poll.C:
			if l, ok := c.listening(); ok && l.PID != pid {
				pid = l.PID
				poll.Reset(lookEvery)
				c.listens(l, f)
			}
		}
	}
}

// start starts the process and returns where in its log this life begins.
func (c *child) start(f *Fleet) (*exec.Cmd, int64, error) {
	err := os.Remove(filepath.Join(c.dir, "listening.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	out, from, err := openLog(c.log)
	if err != nil {
		return nil, 0, err
	}
	defer out.Close() // the child has its own
	args := c.args
	for _, s := range c.sockets {
		args = append(args[:len(args):len(args)], s.flag, s.addr)
	}
	cmd := exec.Command(f.cfg.Exe, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = childEnv(os.Environ())
	if c.join != "" {
		cmd.Env = append(cmd.Env, "SCANEDGE_JOIN="+c.join) // not as a flag, which others on this machine could read
	}
	cmd.ExtraFiles = []*os.File{f.claim.children}
	return cmd, from, f.spawn.start(cmd)
}

// childEnv drops the settings that were meant for the fleet: a child's settings are its flags.
func childEnv(env []string) []string {
	var kept []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "SCANEDGE_") {
			kept = append(kept, kv)
		}
	}
	return kept
}

// listening reads where the process listens, if it has said so. What one before it said was removed.
func (c *child) listening() (l listening, ok bool) {
	b, err := os.ReadFile(filepath.Join(c.dir, "listening.json"))
	return l, err == nil && json.Unmarshal(b, &l) == nil
}

// listens takes note of where the process listens and binds its next lives to it.
func (c *child) listens(l listening, f *Fleet) {
	for i, s := range c.sockets {
		c.sockets[i].addr = pin(s.addr, s.got(l))
	}
	c.adopt(l)
	if c.listened {
		f.note("%s is up again, pid %d", c.name, l.PID)
		return
	}
	c.listened, c.admin = true, l.Admin
	c.listenErr <- nil
}

// pin returns the address that was asked for with the port of the URL that came of it.
func pin(addr, got string) string {
	host, _, err := net.SplitHostPort(addr)
	u, urlErr := url.Parse(got)
	if err != nil || urlErr != nil || u.Port() == "" {
		return addr
	}
	return net.JoinHostPort(host, u.Port())
}

// end stops the process: it may drain, but not for ever.
func (c *child) end(cmd *exec.Cmd, dead <-chan struct{}, f *Fleet) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-dead:
	case <-time.After(endWait):
		f.note("%s (pid %d) did not end within %v of SIGTERM; killing it", c.name, cmd.Process.Pid, endWait)
		_ = cmd.Process.Kill()
		<-dead
	}
}

// obituary says who died, how, and its last words.
func (c *child) obituary(cmd *exec.Cmd, from int64) error {
	how := fmt.Sprintf("%s (pid %d) died: %v", c.name, cmd.Process.Pid, cmd.ProcessState)
	words := lastLines(c.log, from)
	if len(words) == 0 {
		return fmt.Errorf("%s; it left nothing in %s", how, c.log)
	}
	return fmt.Errorf("%s; the end of %s:\n    %s", how, c.log, strings.Join(words, "\n    "))
}
