package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// handoverPair is both ends of a connection, made in a folder as two processes would.
func handoverPair(t *testing.T) (old, next *handoverConn) {
	t.Helper()
	dir := t.TempDir()
	if none, err := callPredecessor(dir); none != nil || err != nil {
		t.Fatalf("somebody answers in an empty folder: %v", err)
	}
	l, err := listenForSuccessors(dir)
	if err != nil {
		t.Fatal(err)
	}
	next, err = callPredecessor(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	old = &handoverConn{UnixConn: c}
	t.Cleanup(func() { _ = old.Close(); _ = next.Close() })
	_ = l.Close()
	if dead, err := callPredecessor(dir); dead != nil || err != nil {
		t.Fatalf("somebody answers where a process has died: %v", err)
	}
	again, err := listenForSuccessors(dir) // over what the dead one left
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	return old, next
}

// Words come in order and whole, however they were cut on their way, and files with the word that they were sent with.
func TestHandoverWords(t *testing.T) {
	old, next := handoverPair(t)
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("the lock"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	go func() {
		_ = old.say(handoverWord{Incarnation: strings.Repeat("x", 50_000)}) // more than is read at once
		_ = old.say(handoverWord{Version: 1}, f)
		_ = old.say(handoverWord{Serving: true})
		_ = old.say(handoverWord{Refused: "no"})
		_, _ = old.Write([]byte("{}\n{nonsense}\n"))
		_ = old.Close()
	}()
	if w, files, err := next.hear(); err != nil || len(w.Incarnation) != 50_000 || len(files) != 0 {
		t.Fatalf("%d bytes, %d files, %v", len(w.Incarnation), len(files), err)
	}
	w, files, err := next.hear()
	if err != nil || w.Version != 1 || len(files) != 1 {
		t.Fatalf("%+v, %d files, %v", w, len(files), err)
	}
	if b, err := io.ReadAll(files[0]); string(b) != "the lock" {
		t.Errorf("the file that came holds %q, %v", b, err)
	}
	closeAll(files)
	if w, err := next.hearNoFiles(); err != nil || !w.Serving {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := next.hearNoFiles(); err == nil || err.Error() != "no" {
		t.Errorf("a refusal: %v", err)
	}
	if w, err := next.hearNoFiles(); err != nil || w.Serving {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := next.hearNoFiles(); err == nil || !strings.Contains(err.Error(), "not what was expected") {
		t.Errorf("nonsense: %v", err)
	}
	if _, err := next.hearNoFiles(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

// A process of another release, or no process of ours, is told why it can't take over.
func TestSuccessorsThatMakeNoSense(t *testing.T) {
	for _, says := range []string{`{"version":2,"incarnation":"x"}`, `{"version":1}`, `{}`, `nonsense`, ``} {
		old, next := handoverPair(t)
		if _, err := next.Write([]byte(says + "\n")); err != nil {
			t.Fatal(err)
		}
		p := &edgeProcess{logger: slog.New(slog.DiscardHandler)}
		s, err := p.meetSuccessor(old)
		if s != nil || err == nil {
			t.Errorf("%s: taken for a successor", says)
		}
		_ = old.Close()
		if _, err := next.hearNoFiles(); err == nil || strings.HasPrefix(says, "{") && !strings.Contains(err.Error(), "stop this one and start the other") {
			t.Errorf("%s: it is told %v", says, err)
		}
	}
}

// A door that is shut keeps those who come, for who opens it, here or in another process.
func TestDoorsKeepWhoComes(t *testing.T) {
	d := newDoor(t)
	accepted := make(chan error)
	go func() { _, err := d.Accept(); accepted <- err }()
	_ = d.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a door that was shut: %v", err)
	}
	_, files, err := doors{scanDoor: d}.files([]string{scanDoor, peerDoor})
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	other, err := doorOf(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer other.end()
	for name, opened := range map[string]*door{"here": d, "elsewhere": other} {
		c, err := net.Dial("tcp", d.Addr().String())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := opened.open(); err != nil {
			t.Fatal(err)
		}
		got, err := opened.Accept()
		if err != nil || got.RemoteAddr().String() != c.LocalAddr().String() {
			t.Fatalf("%s: %v", name, err)
		}
		_, _ = c.Close(), got.Close()
	}
	// The copy has left it as it was: it can be interrupted.
	go func() { time.Sleep(10 * time.Millisecond); _ = d.Close() }()
	if _, err := d.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	_ = d.end()
	if c, err := net.Dial("tcp", other.Addr().String()); err != nil {
		t.Errorf("the other process's door went with it: %v", err)
	} else {
		c.Close()
	}
}

func newDoor(t *testing.T) *door {
	t.Helper()
	l, err := listen("127.0.0.1:0", "scans", "--listen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &door{TCPListener: l.(*net.TCPListener)}
}

// A listener is taken over where both are to listen at the same place, said the same or as it came out.
func TestWhatAPredecessorHas(t *testing.T) {
	b := &predecessor{hello: handoverWord{
		Asked: map[string]string{scanDoor: "127.0.0.1:0", secureDoor: ":7021", adminDoor: "127.0.0.1:7011", peerDoor: ""},
		At:    &edgeListening{Scan: "http://127.0.0.1:41000", ScanTLS: "https://[::]:7021", Admin: "http://127.0.0.1:7011"},
	}}
	for _, c := range []struct {
		name, addr string
		want       bool
	}{
		{scanDoor, "127.0.0.1:0", true}, {scanDoor, "127.0.0.1:41000", true}, {scanDoor, "127.0.0.1:7001", false}, {scanDoor, ":41000", false},
		{secureDoor, ":7021", true}, {secureDoor, "127.0.0.1:7021", false}, {peerDoor, "", false}, {peerDoor, ":7031", false},
	} {
		if got := b.has(c.name, c.addr); got != c.want {
			t.Errorf("%s at %q: %v", c.name, c.addr, got)
		}
	}
	if (*predecessor)(nil).has(scanDoor, "127.0.0.1:0") {
		t.Error("nobody has a listener")
	}
	late := &predecessor{hello: handoverWord{Since: time.Now().Add(time.Hour).UnixMicro()}}
	if since := late.since(); since.UnixMicro() != late.hello.Since+1 {
		t.Errorf("in charge since %v, though the one before was so later", since)
	}
}
