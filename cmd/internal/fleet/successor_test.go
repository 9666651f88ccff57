package fleet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/sync/durable"
)

// inherited is a child whose folder another process holds, and the pids that it was said to have.
func inherited(t *testing.T) (c *child, f *Fleet, pids chan int, release func()) {
	t.Helper()
	pids = make(chan int, 8)
	c = &child{name: "edge-1", dir: t.TempDir(), listened: true, adopt: func(l listening) { pids <- l.PID }}
	lock, err := durable.Lock(filepath.Join(c.dir, "lock"))
	must(t, err)
	t.Cleanup(func() { lock.Close() })
	return c, &Fleet{cfg: Config{Log: new(bytes.Buffer)}}, pids, func() { lock.Close() }
}

func (c *child) saysItListens(t *testing.T, pid int) {
	t.Helper()
	must(t, durable.WriteFile(filepath.Join(c.dir, "listening.json"), fmt.Appendf(nil, `{"pid":%d,"scan":"http://127.0.0.1:1"}`, pid)))
}

// Who took over is watched, and who takes over from that one, until the last one's folder is free.
func TestSuccessorsAreFollowed(t *testing.T) {
	c, f, pids, release := inherited(t)
	c.saysItListens(t, 11)
	ended := make(chan error)
	go func() { ended <- c.follow(t.Context(), 10, f) }()
	if got := <-pids; got != 11 {
		t.Errorf("pid %d", got)
	}
	c.saysItListens(t, 12)
	if got := <-pids; got != 12 {
		t.Errorf("pid %d", got)
	}
	release()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "pid 12") {
		t.Errorf("it ended with %v", err)
	}
}

// A fleet that is stopped ends who took over, and waits for it.
func TestSuccessorsEndWithTheFleet(t *testing.T) {
	c, f, _, release := inherited(t)
	cmd := exec.Command("sleep", "1000")
	must(t, cmd.Start())
	go func() { _ = cmd.Wait(); release() }()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.follow(ctx, cmd.Process.Pid, f) }()
	stop()
	if err := <-ended; err != nil || c.alive() {
		t.Errorf("ended with %v, and is alive: %v", err, c.alive())
	}
	if _, err := os.Stat(filepath.Join(c.dir, "lock")); err != nil {
		t.Error("a lock's file must stay: ", err)
	}
}
