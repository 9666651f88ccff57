package deltalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer starts a server on a folder and stops it with the test, unless stop was called before.
func startServer(t *testing.T, dir string) (s *Server, stop func()) {
	t.Helper()
	s, err := StartServer(ServerConfig{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			s.Stop()
		}
		stopped = true
	}
	t.Cleanup(stop)
	return s, stop
}

func writerLog(t *testing.T, s *Server) *Log {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	l, err := conn.Create(t.Context(), "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// eventually tries until it succeeds, as those do who use a log whose server comes and goes.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// replayed is all that a log holds.
func replayed(t *testing.T, l *Log, after uint64) (all []Entry, last uint64) {
	t.Helper()
	eventually(t, func() (err error) {
		all = nil
		last, err = l.Replay(t.Context(), after, func(e Entry) error { all = append(all, e); return nil })
		return err
	})
	return all, last
}

// follower reads on in a log again and again.
func follower(t *testing.T, l *Log) (got func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, seen := make(chan struct{}), make(chan Entry, 1<<16)
	go func() {
		defer close(done)
		var after uint64
		for ctx.Err() == nil {
			_, _ = l.Replay(ctx, after, func(e Entry) error { after = e.Seq; seen <- e; return nil })
			time.Sleep(10 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() int { return len(seen) }
}

func TestRecordsOfAnySizeComeBackAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := startServer(t, dir)
	l := writerLog(t, s)
	var want [][]byte
	var last uint64
	for i, n := range []int{1, 100, pieceSize, pieceSize + 1, 20 * pieceSize, 0, 3} {
		record := bytes.Repeat([]byte{byte(i + 1)}, n)
		if err := l.Append(t.Context(), last, record); err != nil {
			t.Fatal(err)
		}
		last += Pieces(n)
		want = append(want, record)
	}
	stop()
	s, _ = startServer(t, dir)
	got, end := replayed(t, writerLog(t, s), 0)
	if len(got) != len(want) || end != last {
		t.Fatalf("%d records up to %d, want %d up to %d", len(got), end, len(want), last)
	}
	for i, e := range got {
		if !bytes.Equal(e.Record, want[i]) {
			t.Errorf("record %d: %d bytes, want %d", i, len(e.Record), len(want[i]))
		}
	}
}

func TestASecondWriterIsFenced(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	a, b := writerLog(t, s), writerLog(t, s)
	if err := a.Append(t.Context(), 0, []byte("a")); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3 * pieceSize} {
		if err := b.Append(t.Context(), 0, make([]byte, n)); err == nil {
			t.Errorf("%d bytes of a writer that had not read the last record were taken", n)
		}
	}
	if err := b.AppendBeat(t.Context(), 0, []byte("beat")); err == nil {
		t.Error("its beat was taken")
	}
	if got, last := replayed(t, a, 0); len(got) != 1 || last != 1 {
		t.Errorf("the log holds %d records up to %d", len(got), last)
	}
	if err := a.Append(t.Context(), 1, make([]byte, MaxRecord+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a record over the limit: %v", err)
	}
}

// A connection inside the process outlives its server, whose logs are read on when it is back.
func TestReadsOnThroughAReopening(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	followed := follower(t, l)
	var last uint64
	for range 3 {
		for range 5 {
			eventually(t, func() (err error) {
				if last, err = l.Replay(t.Context(), 0, func(Entry) error { return nil }); err == nil {
					err = l.Append(t.Context(), last, []byte("x"))
				}
				return err
			})
		}
		if err := s.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := replayed(t, l, 0)
	eventually(t, func() error {
		if n := followed(); n != len(got) || n < 15 {
			return fmt.Errorf("%d of %d records were read", n, len(got))
		}
		return nil
	})
}

func TestReplayEnds(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	if err := l.Append(t.Context(), 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if _, err := l.Replay(t.Context(), 0, func(Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("each failed: %v", err)
	}
	if _, err := l.Replay(t.Context(), 2, func(Entry) error { return nil }); !errors.Is(err, ErrRewound) {
		t.Errorf("past the end: %v", err)
	}
	if last, err := l.Replay(t.Context(), 1, func(Entry) error { return boom }); err != nil || last != 1 {
		t.Errorf("at the end: %d, %v", last, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := l.Replay(ctx, 0, func(Entry) error { cancel(); <-ctx.Done(); return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := l.conn.Log("none").Replay(t.Context(), 0, func(Entry) error { return nil }); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("an issuer without a log: %v", err)
	}
}

func TestBeatsExpireAndBatchesStay(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	if err := l.Append(t.Context(), 0, []byte("batch")); err != nil {
		t.Fatal(err)
	}
	if err := l.AppendBeat(t.Context(), 1, []byte("beat")); err != nil {
		t.Fatal(err)
	}
	for subject, ttl := range map[string]string{"beat": BeatTTL.String(), "batch": ""} {
		stream, err := l.conn.js.Stream(t.Context(), l.stream())
		if err != nil {
			t.Fatal(err)
		}
		m, err := stream.GetLastMsgForSubject(t.Context(), l.subject(subject))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get(jetstream.MsgTTLHeader); got != ttl {
			t.Errorf("a %s lives for %q, want %q", subject, got, ttl)
		}
	}
}

// Nobody but this process can speak to its server.
func TestTheServerListensNowhere(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	if addr := s.run.Load().ns.Addr(); addr != nil {
		t.Errorf("it listens on %v", addr)
	}
}

// Beats expire while somebody reads the log: what the server counted as still to come may never come.
func TestReplayEndsThoughBeatsExpire(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	var seq uint64
	for range 200 { // more than is sent ahead, so that the beats are still at the server when they expire
		if err := l.Append(t.Context(), seq, make([]byte, pieceSize)); err != nil {
			t.Fatal(err)
		}
		seq++
	}
	for range 20 {
		_, err := l.conn.js.PublishMsg(t.Context(), &nats.Msg{Subject: l.subject("beat"), Data: pieces([]byte("beat"))[0]},
			jetstream.WithExpectLastSequence(seq), jetstream.WithMsgTTL(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		seq++
	}
	batches := 0
	last, err := l.Replay(t.Context(), 0, func(e Entry) error {
		if len(e.Record) == pieceSize {
			batches++
		}
		if batches == 1 {
			time.Sleep(2500 * time.Millisecond) // past the beats' time to live, which the server alone can let pass
		}
		return nil
	})
	if err != nil || batches != 200 || last != seq {
		t.Errorf("%d batches up to %d, %v; want 200 up to %d", batches, last, err, seq)
	}
}
