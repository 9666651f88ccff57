package deltalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsServer starts a NATS server with JetStream as an operator would.
func natsServer(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
		Username: "u", Password: "p",
	}
	change(opts)
	return runServer(t, opts)
}

// runServer starts a server on its options: a second time where it was the first.
func runServer(t *testing.T, opts *server.Options) *server.Server {
	t.Helper()
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	ns.Start()
	if !ns.ReadyForConnections(30 * time.Second) {
		t.Fatal("a NATS server is not up")
	}
	return ns
}

func connectTo(t *testing.T, url string) *Conn {
	t.Helper()
	var conn *Conn
	eventually(t, func() (err error) {
		conn, err = ConnectTo(t.Context(), url, slog.New(slog.DiscardHandler))
		return err
	})
	t.Cleanup(conn.Close)
	return conn
}

func urlOf(addr string) string { return "nats://u:p@" + addr }

func TestAnExternalServerHoldsALog(t *testing.T) {
	ns := natsServer(t, func(*server.Options) {})
	conn := connectTo(t, urlOf(ns.Addr().String()))
	l, err := conn.Create(t.Context(), "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), 0, make([]byte, 3*pieceSize)); err != nil {
		t.Fatal(err)
	}
	if err := l.AppendGroup(t.Context(), 3, [][]byte{{1}, {2}}); err != nil {
		t.Fatal(err)
	}
	if err := l.AppendBeat(t.Context(), 5, []byte("beat")); err != nil {
		t.Fatal(err)
	}
	if got, last := replayed(t, l, 0); len(got) != 3 || last != 6 {
		t.Errorf("%d records up to %d", len(got), last)
	}
	if err := l.Trim(t.Context(), 3); err != nil {
		t.Error(err)
	}
}

func TestAnExternalServerWithoutRoom(t *testing.T) {
	ns := natsServer(t, func(o *server.Options) { o.JetStreamMaxStore = 4 << 20 })
	l, err := connectTo(t, urlOf(ns.Addr().String())).Create(t.Context(), "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	for err == nil {
		if err = l.Append(t.Context(), last, make([]byte, 500<<10)); err == nil {
			last++
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if err := l.AppendGroup(t.Context(), last, [][]byte{{1}, {2}}); !errors.Is(err, ErrFull) {
		t.Errorf("a group: %v", err)
	}
	if err := l.Trim(t.Context(), last-1); err != nil {
		t.Fatal(err)
	}
	if err := l.AppendGroup(t.Context(), last, [][]byte{{1}, {2}}); err != nil {
		t.Errorf("when there is room: %v", err)
	}
}

// What is wrong with a URL is said without the password in it.
func TestABadURLIsNotRepeated(t *testing.T) {
	for _, url := range []string{"nats://u:sec%zzret@127.0.0.1:1", "nats://u:sec ret@127.0.0.1:1", "nats://u:sec/ret@127.0.0.1:1"} {
		_, err := ConnectTo(t.Context(), url, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "sec") || !strings.Contains(err.Error(), "percent-encoded") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// oldServer greets like a NATS server of another age, and answers pings.
func oldServer(t *testing.T, info string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = fmt.Fprintf(c, "INFO %s\r\n", info)
		for in := bufio.NewScanner(c); in.Scan(); {
			if in.Text() == "PING" {
				_, _ = fmt.Fprint(c, "PONG\r\n")
			}
		}
	}()
	return ln.Addr().String()
}

func TestConnectToSaysWhatAServerLacks(t *testing.T) {
	plain := natsServer(t, func(o *server.Options) { o.JetStream = false })
	users := natsServer(t, func(o *server.Options) {
		o.Username, o.Password = "", ""
		a := server.NewAccount("A")
		o.Accounts, o.Users = []*server.Account{a}, []*server.User{{Username: "u", Password: "p", Account: a}}
	})
	narrow := natsServer(t, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	for name, tc := range map[string]struct{ url, says string }{
		"which one":                    {urlOf(plain.Addr().String()), plain.Addr().String()},
		"no JetStream":                 {urlOf(plain.Addr().String()), "store_dir"},
		"no JetStream for its account": {urlOf(users.Addr().String()), "account"},
		"small messages":               {urlOf(narrow.Addr().String()), "max_payload"},
		"an old server":                {urlOf(oldServer(t, `{"version":"2.11.9","max_payload":1048576,"headers":true,"jetstream":true}`)), "2.12"},
		"another password":             {"nats://u:wrong@" + narrow.Addr().String(), "uthorization"},
		"nobody":                       {"nats://127.0.0.1:1", "connect"},
	} {
		conn, err := ConnectTo(t.Context(), tc.url, slog.New(slog.DiscardHandler))
		if err == nil {
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), ":p@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// cluster starts a cluster of three servers.
func cluster(t *testing.T) (servers []*server.Server, urls string) {
	t.Helper()
	servers, _, urls = clusterOf(t)
	return servers, urls
}

// clusterOf is cluster, with what it takes to start a server again.
func clusterOf(t *testing.T) (servers []*server.Server, opts []*server.Options, urls string) {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: ln.Addr().String()})
		_ = ln.Close()
	}
	var all []string
	for i, port := range ports {
		ns := natsServer(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}
			o.Routes = routes
			opts = append(opts, o)
		})
		servers = append(servers, ns)
		all = append(all, urlOf(ns.Addr().String()))
	}
	return servers, opts, strings.Join(all, ",")
}

// deed is an append: the records of a group, each with what names it, and whether it was acknowledged.
type deed struct {
	records [][]byte
	acked   bool
}

// appender appends single records, groups and large records in turn. After each unknown outcome it reads the tail, as the origin
// does.
type appender struct {
	log   *Log
	last  uint64
	deeds []deed
}

func (a *appender) one(t *testing.T) (acked bool) {
	t.Helper()
	n := len(a.deeds)
	var group [][]byte
	for i := range []int{1, 5, 1}[n%3] {
		size := 100
		if n%3 == 2 {
			size = 2*pieceSize + 100
		}
		r := make([]byte, size)
		copy(r, fmt.Sprintf("deed %d record %d", n, i))
		group = append(group, r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err := a.log.AppendGroup(ctx, a.last, group)
	a.deeds = append(a.deeds, deed{group, err == nil})
	if err != nil {
		t.Logf("deed %d: %v", n, err)
		eventually(t, func() (err error) {
			a.last, err = a.log.Replay(t.Context(), a.last, func(Entry) error { return nil })
			return err
		})
		return false
	}
	for _, r := range group {
		a.last += Pieces(len(r))
	}
	return true
}

// check holds what is in the log against the deeds: each that was acknowledged is there once and whole, in order, and each other
// one is there whole or not at all.
func (a *appender) check(t *testing.T, got []Entry) {
	t.Helper()
	for n, d := range a.deeds {
		there := 0
		for there < len(d.records) && there < len(got) && string(got[there].Record) == string(d.records[there]) {
			there++
		}
		if there != len(d.records) && (d.acked || there != 0) {
			t.Fatalf("deed %d, acknowledged %v: %d of its %d records are there", n, d.acked, there, len(d.records))
		}
		got = got[there:]
	}
	if len(got) != 0 {
		t.Fatalf("%d records are there that nobody appended then", len(got))
	}
}

func TestAClusterLosesNothingWithItsLeader(t *testing.T) {
	servers, urls := cluster(t)
	conn := connectTo(t, urls)
	conn.Replicas = 3
	a := &appender{}
	eventually(t, func() (err error) {
		a.log, err = conn.Create(t.Context(), "demo-a")
		return err
	})
	followed := follower(t, connectTo(t, urls).Log("demo-a"))
	appendMany := func(n int) {
		for acked := 0; acked < n; {
			if a.one(t) {
				acked++
			}
		}
	}
	appendMany(30)
	stream, err := conn.js.Stream(t.Context(), a.log.stream())
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
		t.Fatalf("%d replicas: %+v", info.Config.Replicas, info.Cluster)
	}
	leader := stream.CachedInfo().Cluster.Leader
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for _, ns := range servers {
			if ns.Name() == leader {
				ns.Shutdown()
			}
		}
	}()
	for going := true; going; a.one(t) {
		select {
		case <-killed:
			going = false
		default:
		}
	}
	appendMany(30)
	got, _ := replayed(t, a.log, 0)
	a.check(t, got)
	eventually(t, func() error {
		if n := followed(); n != len(got) {
			return fmt.Errorf("a follower has seen %d of %d records", n, len(got))
		}
		return nil
	})
}
