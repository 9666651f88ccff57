package deltalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// recreate makes a log anew with n records, as one does who restores a server from nothing.
func recreate(t *testing.T, l *Log, n int) {
	t.Helper()
	if err := l.conn.js.DeleteStream(t.Context(), l.stream()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { _, err := l.conn.Create(t.Context(), l.issuer); return err }) // the old one's folder may be there still
	for i := range n {
		if err := l.Append(t.Context(), uint64(i), fmt.Append(nil, "new ", i+1)); err != nil {
			t.Fatal(err)
		}
	}
}

// What happens at the server to those who read, while their connection is well: Replay ends, and says so where it can be known that
// going on would be wrong.
func TestReplayEndsWithWhatItReads(t *testing.T) {
	const held = 600 // more than is sent ahead
	deleteConsumers := func(t *testing.T, l *Log) {
		s, err := l.conn.js.Stream(t.Context(), l.stream())
		if err != nil {
			t.Fatal(err)
		}
		for name := range s.ConsumerNames(t.Context()).Name() {
			if err := s.DeleteConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		disturb func(t *testing.T, l *Log)
		again   error  // of the next Replay
		gives   string // what that delivers
	}{
		"its consumer was deleted": {deleteConsumers, nil, ""},
		"the log was deleted": {func(t *testing.T, l *Log) {
			if err := l.conn.js.DeleteStream(t.Context(), l.stream()); err != nil {
				t.Fatal(err)
			}
		}, ErrGone, ""},
		"made anew with fewer":   {func(t *testing.T, l *Log) { recreate(t, l, 2) }, ErrRewound, ""},
		"made anew with as many": {func(t *testing.T, l *Log) { recreate(t, l, held) }, nil, ""},
		"made anew with more":    {func(t *testing.T, l *Log) { recreate(t, l, held+1) }, nil, fmt.Sprint("new ", held+1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := startServer(t, t.TempDir())
			l := writerLog(t, s)
			for i := range held {
				if err := l.Append(t.Context(), uint64(i), fmt.Append(nil, "old ", i+1)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := l.Replay(t.Context(), 0, func(e Entry) error {
				if e.Seq == 1 {
					tc.disturb(t, l)
				} else if want := fmt.Sprint("old ", e.Seq); string(e.Record) != want {
					t.Errorf("it goes on with %q, want %q", e.Record, want)
				}
				return nil
			})
			if err == nil {
				t.Error("it ended as if all had come")
			}
			_, err = l.Replay(t.Context(), held, func(e Entry) error {
				if string(e.Record) != tc.gives {
					t.Errorf("the next goes on with %q, want %q", e.Record, tc.gives)
				}
				tc.gives = ""
				return nil
			})
			if !errors.Is(err, tc.again) || tc.gives != "" {
				t.Errorf("then %v, want %v; %q did not come", err, tc.again, tc.gives)
			}
		})
	}
}

// wire is a way to a server that can be cut.
func wire(t *testing.T, addr string) (by string, cut func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var ends []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		near, err := ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		ends = append(ends, near, far)
		go func() { _, _ = io.Copy(near, far) }()
		go func() { _, _ = io.Copy(far, near) }()
	}()
	cut = sync.OnceFunc(func() {
		_ = ln.Close()
		<-done
		for _, c := range ends {
			_ = c.Close()
		}
	})
	t.Cleanup(cut)
	return ln.Addr().String(), cut
}

// Nobody knows whether a server that is out of reach comes back: that the connection is gone is said at once.
func TestReplayEndsWithoutAServer(t *testing.T) {
	ns := natsServer(t, func(*server.Options) {})
	addr, cut := wire(t, ns.Addr().String())
	conn := connectTo(t, urlOf(addr))
	l, err := conn.Create(t.Context(), "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(600) { // more than is sent ahead
		if err := l.Append(t.Context(), i, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Replay(t.Context(), 0, func(Entry) error { cut(); return nil }); !errors.Is(err, errLost) {
		t.Errorf("when it went: %v", err)
	}
	if _, err := l.Replay(t.Context(), 1, func(Entry) error { return nil }); !errors.Is(err, ErrSilent) {
		t.Errorf("while it is away: %v", err)
	}
}

// A slow receiver is not a silent log.
func TestReplayWaitsForASlowReceiver(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	for i := range 600 { // more than is sent ahead
		if err := l.Append(t.Context(), uint64(i), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	next := uint64(1)
	_, err := l.Replay(t.Context(), 0, func(e Entry) error {
		if e.Seq != next {
			t.Errorf("%d where %d was due", e.Seq, next)
		}
		if e.Seq == 1 {
			time.Sleep(silence + time.Second)
		}
		next++
		return nil
	})
	if err != nil || next != 601 {
		t.Errorf("it ended before %d: %v", next, err)
	}
}

// Once Replay has returned, its receiver is called no more.
func TestReplayReturnsAfterItsReceiver(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	for i := range 100 {
		if err := l.Append(t.Context(), uint64(i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0 // not guarded: a call beside or after Replay is a race
		_, _ = l.Replay(ctx, 0, func(Entry) error {
			if calls++; calls == 10 {
				go cancel()
			}
			return nil
		})
		calls++
		cancel()
	}
}

// A log that grows while it is replayed: the last sequence is not before what was delivered, or its writer would append there.
func TestReplayEndsBehindWhatItDelivered(t *testing.T) {
	s, stop := startServer(t, t.TempDir())
	defer stop()
	l := writerLog(t, s)
	appended := make(chan error)
	go func() {
		var err error
		for i := uint64(0); i < 300 && err == nil; i++ {
			err = l.Append(t.Context(), i, []byte("x"))
		}
		appended <- err
	}()
	for seen := uint64(0); seen < 300; {
		last, err := l.Replay(t.Context(), seen, func(e Entry) error { seen = e.Seq; return nil })
		if err != nil || last < seen {
			t.Fatalf("it ends at %d, and delivered %d: %v", last, seen, err)
		}
	}
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
}
