package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The log on a cluster of three NATS servers: pushes and scans through the kill of the origin, and of the server that each log's
// writer and readers least like to lose, its leader among them sooner or later.
func TestFaultExternalCluster(t *testing.T) {
	c := startCluster(t)
	o := newOrigin(t, releaseBin, "--issuers", "gz", "--nats", c.urls(), "--nats-replicas", "3")
	o.beginOrigin()
	o.keepUp()
	edge := startEdges(t, 1, releaseBin, o)[0]
	k, stopTicker := startTicker(t, o, "gz", 20*time.Millisecond)
	w, stopWatcher := startWatcher(t, k, edge, 4)
	o.mustPush(t, "gz", "bulk", rows("s", 0, 200_000, 1))
	for _, s := range c.servers {
		s.kill()
		o.mustPush(t, "gz", "without-"+s.name, rows("s", 0, 1000, 2))
		w.awaitVouching(t)
		s.start()
	}
	o.killKept()
	o.mustPush(t, "gz", "restarted", rows("s", 0, 1000, 3))
	w.awaitVouching(t)
	stopTicker()
	stopWatcher()
	_, last := k.newest()
	awaitOffset(t, []*node{edge}, "gz", last.Offset)
	mustAllBe(t, []*node{edge}, o, "gz", "s", 0, 1000, 3)
	mustAllBe(t, []*node{edge}, o, "gz", "s", 1000, 200_000, 1)
	log := &chain{issuer: "gz", keys: map[string]int{}}
	log.read(t, o)
	for key, times := range log.keys {
		if times != 1 {
			t.Errorf("key %s is %d times in the log", key, times)
		}
	}
	t.Logf("%d pushes in the log", len(log.keys))
}

// cluster is three NATS servers.
type cluster struct{ servers []*natsServer }

// urls names the cluster to the origin.
func (c *cluster) urls() string {
	var all []string
	for _, s := range c.servers {
		all = append(all, fmt.Sprintf("nats://origin:secret@%s", s.addr))
	}
	return strings.Join(all, ",")
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "nats-server")
	if out, err := exec.Command("go", "build", "-o", exe, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v: %s", err, out)
	}
	c := new(cluster)
	addrs := freeAddrs(t, 6)
	routes := fmt.Sprintf("nats://%s, nats://%s, nats://%s", addrs[3], addrs[4], addrs[5])
	for i := range 3 {
		s := &natsServer{t: t, name: fmt.Sprintf("n%d", i+1), exe: exe, addr: addrs[i], dir: t.TempDir()}
		s.configure(addrs[3+i], routes)
		c.servers = append(c.servers, s)
		s.start()
		t.Cleanup(s.bury)
	}
	for _, s := range c.servers {
		eventually(t, s.name+" knowing a leader", func() bool { return strings.Contains(string(s.log()), "metadata leader") })
	}
	return c
}

// freeAddrs returns addresses of ports that were free a moment ago.
func freeAddrs(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// natsServer is a process of the cluster.
type natsServer struct {
	t                    *testing.T
	name, exe, addr, dir string
	cmd                  *exec.Cmd
}

func (s *natsServer) configure(route, routes string) {
	s.t.Helper()
	config := fmt.Sprintf(`
server_name: %s
listen: "%s"
jetstream { store_dir: %q, sync_interval: always }
cluster { name: scanedge, listen: "%s", routes: [%s] }
authorization { users: [ {user: origin, password: secret} ] }
`, s.name, s.addr, s.dir, route, routes)
	if err := os.WriteFile(filepath.Join(s.dir, "nats.conf"), []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *natsServer) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.exe, "-c", filepath.Join(s.dir, "nats.conf"), "-l", filepath.Join(s.dir, "nats.log"))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := spawn(s.cmd); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, s.name+" listening", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *natsServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *natsServer) bury() {
	s.kill()
	if s.t.Failed() {
		s.t.Logf("the end of what %s said:\n%s", s.name, tail(s.log()))
	}
}

func (s *natsServer) log() []byte {
	b, err := os.ReadFile(filepath.Join(s.dir, "nats.log"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Error(err)
	}
	return b
}
