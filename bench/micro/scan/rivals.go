package scan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// nginx starts an nginx that gives the edge's answer to everything; the address is "" where there is none.
func (m *run) nginx(dir string) (addr string, err error) {
	exe, err := exec.LookPath("nginx")
	if err != nil {
		m.r.Skipped[serverNginx] = "it is not installed"
		return "", nil
	}
	addr, err = freeAddr()
	if err != nil {
		return "", err
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := strings.NewReplacer("DIR", dir, "ADDR", addr, "ANSWER", strings.ReplaceAll(strings.TrimSpace(m.edge.Answer), `"`, `\"`)).Replace(nginxConf)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command(exe, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "nginx.err"))
	return addr, m.rival(cmd, addr)
}

const nginxConf = `daemon off; master_process off; worker_processes 1; pid DIR/nginx.pid; error_log DIR/nginx.err;
events { worker_connections 1024; }
http {
  access_log off; server_tokens off; keepalive_requests 1000000000; tcp_nodelay on; default_type application/json;
  client_body_temp_path DIR/t1; proxy_temp_path DIR/t2; fastcgi_temp_path DIR/t3; uwsgi_temp_path DIR/t4; scgi_temp_path DIR/t5;
  server { listen ADDR; location / { add_header Cache-Control no-store; return 200 "ANSWER\n"; } }
}
`

// redis starts a Redis and gives it the subjects that it has room for; the address is "" where there is none.
func (m *run) redis(ctx context.Context, dir string) (addr string, err error) {
	exe, err := exec.LookPath("redis-server")
	if err != nil {
		m.r.Skipped[serverRedis] = "it is not installed"
		return "", nil
	}
	m.r.RedisSubjects = redisRoom(m.Subjects)
	if addr, err = freeAddr(); err != nil {
		return "", err
	}
	host, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(exe, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", dir, "--daemonize", "no", "--loglevel", "warning")
	if err := m.rival(cmd, addr); err != nil {
		return "", err
	}
	return addr, m.loadRedis(ctx, addr)
}

// bytesInRedis is a little more than a subject takes there.
const bytesInRedis = 130

// redisRoom is how many of the subjects Redis has memory for.
func redisRoom(subjects uint64) uint64 {
	free := memoryFree()
	if free == 0 {
		return subjects
	}
	return max(1, min(subjects, free/10*8/bytesInRedis))
}

// memoryFree is how many bytes may be used before others have to give way, 0 if nobody knows.
func memoryFree() uint64 {
	text, _ := os.ReadFile("/proc/meminfo")
	_, after, _ := strings.Cut(string(text), "MemAvailable:")
	kib, _, _ := strings.Cut(after, "kB")
	n, _ := strconv.ParseUint(strings.TrimSpace(kib), 10, 64)
	return n << 10
}

// loadRedis sets all subjects.
func (m *run) loadRedis(ctx context.Context, addr string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer closeConn(c)
	const at = 256
	n := uint64(0)
	l := &load{length: doneLength, ask: func(b []byte) []byte {
		for range at {
			if n < m.r.RedisSubjects {
				b = set(b, n)
				n++
			}
		}
		return b
	}}
	for n < m.r.RedisSubjects {
		if n%(1<<20) == 0 {
			m.progress("filling Redis", 0.2+0.2*float64(n)/float64(m.r.RedisSubjects))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.answers = int(min(at, m.r.RedisSubjects-n))
		if err := c.exchange(l); err != nil {
			return fmt.Errorf("filling it: %w", err)
		}
	}
	return nil
}

// rival starts another's server, which is gone with the run, and waits until it listens.
func (m *run) rival(cmd *exec.Cmd, addr string) error {
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := startPinned(cmd); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m.ends = append(m.ends, func() { _ = cmd.Process.Kill(); <-ended })
	for range 500 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("it ended: %w: %s", errors.Join(err), strings.TrimSpace(said.String()))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("it does not listen after 10 s")
}

// freeAddr is an address that nobody listened at a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
