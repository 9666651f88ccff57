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
func startServer(t *testing.T, dir, listen string) (s *Server, stop func()) {
	t.Helper()
	s, err := StartServer(ServerConfig{Dir: dir, Listen: listen, OriginToken: "o", EdgeToken: "e", Logger: slog.New(slog.DiscardHandler)})
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

func edgeConn(t *testing.T, s *Server) *Conn {
	t.Helper()
	conn, err := Dial("nats://"+s.Addr(), "e", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// replayed is all that a log holds.
func replayed(t *testing.T, l *Log, after uint64) (all []Entry, last uint64) {
	t.Helper()
	last, err := l.Replay(t.Context(), after, func(e Entry) error { all = append(all, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all, last
}

func TestRecordsOfAnySizeComeBackAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := startServer(t, dir, "127.0.0.1:0")
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
	s, _ = startServer(t, dir, "127.0.0.1:0")
	got, end := replayed(t, writerLog(t, s), 0)
	if len(got) != len(want) || end != last {
		t.Fatalf("%d records up to %d, want %d up to %d", len(got), end, len(want), last)
	}
	for i, e := range got {
		if !bytes.Equal(e.Record, want[i]) {
			t.Errorf("record %d: %d bytes, want %d", i, len(e.Record), len(want[i]))
		}
		if e.CaughtUp != (i == len(got)-1) {
			t.Errorf("record %d: caught up %v", i, e.CaughtUp)
		}
	}
}

func TestASecondWriterIsFenced(t *testing.T) {
	s, _ := startServer(t, t.TempDir(), "127.0.0.1:0")
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

func TestFollowGoesOnThroughARestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := startServer(t, dir, "127.0.0.1:0")
	addr := s.Addr()
	conn := edgeConn(t, s)
	if err := writerLog(t, s).Append(t.Context(), 0, []byte("1")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		var after uint64
		for ctx.Err() == nil {
			_ = conn.Log("demo-a").Follow(ctx, after, func(e Entry) error {
				after = e.Seq
				got <- string(e.Record)
				return nil
			})
			time.Sleep(10 * time.Millisecond)
		}
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case have := <-got:
			if have != want {
				t.Fatalf("got %q, want %q", have, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no %q", want)
		}
	}
	expect("1")
	stop()
	s, _ = startServer(t, dir, addr)
	l := writerLog(t, s)
	for i := range 5 {
		if err := l.Append(t.Context(), uint64(1+i), fmt.Append(nil, 2+i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		expect(fmt.Sprint(2 + i))
	}
	cancel()
	<-done
}

func TestFollowEnds(t *testing.T) {
	s, _ := startServer(t, t.TempDir(), "127.0.0.1:0")
	l := writerLog(t, s)
	if err := l.Append(t.Context(), 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if err := l.Follow(t.Context(), 0, func(Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("each failed: %v", err)
	}
	if err := l.Follow(t.Context(), 2, func(Entry) error { return nil }); !errors.Is(err, ErrRewound) {
		t.Errorf("past the end: %v", err)
	}
	if err := l.Follow(t.Context(), 1, func(Entry) error { return nil }); !errors.Is(err, ErrSilent) {
		t.Errorf("a log without a beat: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if err := l.Follow(ctx, 1, func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := l.conn.Log("none").Follow(t.Context(), 0, func(Entry) error { return nil }); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("an issuer without a log: %v", err)
	}
}

func TestBeatsExpireAndBatchesStay(t *testing.T) {
	s, _ := startServer(t, t.TempDir(), "127.0.0.1:0")
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

func TestAnEdgeCanReadAndNotWrite(t *testing.T) {
	s, _ := startServer(t, t.TempDir(), "127.0.0.1:0")
	l := writerLog(t, s)
	if err := l.Append(t.Context(), 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	conn := edgeConn(t, s)
	enough := errors.New("enough")
	err := conn.Log("demo-a").Follow(t.Context(), 0, func(e Entry) error {
		if string(e.Record) != "x" || !e.CaughtUp {
			t.Errorf("an edge reads %+v", e)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("an edge reads: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := conn.Log("demo-a").Append(ctx, 1, []byte("forged")); err == nil {
		t.Error("an edge may append")
	}
	if err := conn.js.DeleteStream(ctx, l.stream()); err == nil {
		t.Error("an edge may delete the log")
	}
	if _, last := replayed(t, l, 0); last != 1 {
		t.Errorf("the log ends at %d", last)
	}
	if _, err := nats.Connect("nats://" + s.Addr()); err == nil {
		t.Error("anybody may connect")
	}
}

func TestServerSaysWhyItCantStart(t *testing.T) {
	s, _ := startServer(t, t.TempDir(), "127.0.0.1:0")
	for _, listen := range []string{s.Addr(), "127.0.0.1", "127.0.0.1:x"} {
		_, err := StartServer(ServerConfig{Dir: t.TempDir(), Listen: listen, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), "listen") {
			t.Errorf("listen on %q: %v", listen, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := StartServer(ServerConfig{Dir: b.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	conn, err := s.Connect()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	l, err := conn.Create(b.Context(), "demo-a")
	if err != nil {
		b.Fatal(err)
	}
	var last uint64
	for _, n := range []int{200, 20 << 20} {
		record := make([]byte, n)
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := l.Append(b.Context(), last, record); err != nil {
					b.Fatal(err)
				}
				last += Pieces(n)
			}
		})
	}
}

// Beats expire while somebody reads the log: what the server counted as still to come may never come.
func TestReplayEndsThoughBeatsExpire(t *testing.T) {
	s, _ := startServer(t, t.TempDir(), "127.0.0.1:0")
	l := writerLog(t, s)
	var seq uint64
	for range 200 { // more than is sent ahead, so that the beats are still at the server when they expire
		if err := l.Append(t.Context(), seq, make([]byte, pieceSize)); err != nil {
			t.Fatal(err)
		}
		seq++
	}
	for range 20 {
		_, err := l.conn.js.PublishMsg(t.Context(), &nats.Msg{Subject: l.subject("beat"), Data: cut([]byte("beat"))[0]},
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
