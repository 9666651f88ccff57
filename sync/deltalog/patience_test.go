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

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func setPatience(t *testing.T, d time.Duration) {
	was := patience
	patience = d
	t.Cleanup(func() { patience = was })
}

// spoken is a logger that counts what it is told, and the channel receives at the first.
func spoken() (*slog.Logger, chan string) {
	lines := make(chan string, 1000)
	return slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("waiting for them")) {
			lines <- string(b)
		}
		return len(b), nil
	}), nil)), lines
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// startUp is what an origin does with its log when it starts.
func startUp(ctx context.Context, url string, logger *slog.Logger) (got int, err error) {
	conn, err := ConnectTo(ctx, url, logger)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.Replicas = 3
	l, err := conn.Create(ctx, "demo-a")
	if err != nil {
		return 0, err
	}
	after := uint64(0)
	err = l.Patiently(ctx, func() error {
		_, err := l.Replay(ctx, after, func(e Entry) error { got, after = got+1, e.Seq; return nil })
		return err
	})
	return got, err
}

// A cluster that has lost two of its three servers is waited for: until a second is there again, until the start is called off, or until
// patience ends. Nothing is read twice.
func TestAStartWaitsForACluster(t *testing.T) {
	setPatience(t, time.Hour)
	servers, opts, urls := clusterOf(t)
	conn := connectTo(t, urls)
	conn.Replicas = 3
	l, err := conn.Create(t.Context(), "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	a := &appender{log: l}
	for range 6 {
		a.one(t)
	}
	want, _ := replayed(t, l, 0)
	for _, ns := range servers[1:] {
		ns.Shutdown()
		ns.WaitForShutdown()
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logger, lines := spoken()
	result := make(chan error, 1)
	begin := func() {
		go func() {
			got, err := startUp(ctx, urls, logger)
			if err == nil && got != len(want) {
				err = fmt.Errorf("%d records, not %d", got, len(want))
			}
			result <- err
		}()
	}
	awaitLine := func() {
		t.Helper()
		select {
		case <-lines:
		case err := <-result:
			t.Fatalf("it did not wait: %v", err)
		}
	}
	begin()
	awaitLine()
	runServer(t, opts[1])
	if err := <-result; err != nil {
		t.Fatalf("with two servers again: %v", err)
	}

	servers[0].Shutdown() // of the two that are left
	for len(lines) > 0 {
		<-lines
	}
	begin()
	awaitLine()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}

	setPatience(t, time.Second)
	if _, err := startUp(t.Context(), urls, logger); err == nil || !strings.Contains(err.Error(), "more than half") {
		t.Errorf("given up: %v", err)
	}
}

// What no waiting mends is said at once.
func TestAStartDoesNotWaitForWhatStays(t *testing.T) {
	setPatience(t, time.Hour)
	logger, lines := spoken()
	ns := natsServer(t, func(o *server.Options) {
		o.Username, o.Password = "", ""
		o.Users = []*server.User{{Username: "u", Password: "p"}, {Username: "few", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"$JS.API.INFO"}},
		}}}
	})
	if _, err := startUp(t.Context(), "nats://few:p@"+ns.Addr().String(), logger); err == nil || !strings.Contains(err.Error(), "ermission") {
		t.Errorf("a user who may not make a log: %v", err)
	}
	if _, err := startUp(t.Context(), urlOf(ns.Addr().String()), logger); err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("three copies on one server: %v", err)
	}
	_, urls := cluster(t)
	conn := connectTo(t, urls)
	conn.Replicas = 5
	if _, err := conn.Create(t.Context(), "demo-a"); err == nil || !strings.Contains(err.Error(), "suitable") {
		t.Errorf("five copies on three servers: %v", err)
	}
	if len(lines) > 0 {
		t.Errorf("it waited: %s", <-lines)
	}
}

func TestWhatPasses(t *testing.T) {
	code := func(code jetstream.ErrorCode, words string) error {
		return fmt.Errorf("append: %w", &jetstream.APIError{ErrorCode: code, Description: words})
	}
	for _, err := range []error{nats.ErrNoResponders, context.DeadlineExceeded, ErrSilent, errLost, jetstream.ErrJetStreamNotEnabled,
		code(10008, ""), code(10009, ""), code(10005, "no suitable peers for placement, peer offline")} {
		if !passing(fmt.Errorf("replay: %w", err)) {
			t.Errorf("%v does not pass", err)
		}
	}
	for _, err := range []error{nil, ErrRewound, ErrFull, errPiece, context.Canceled, nats.ErrAuthorization, jetstream.ErrStreamNotFound,
		code(10005, "no suitable peers for placement"), code(10058, "stream name already in use"), code(10071, "wrong last sequence"),
		errors.New("no responders")} {
		if passing(err) {
			t.Errorf("%v passes", err)
		}
	}
}

func TestAPauseEndsWithItsStart(t *testing.T) {
	setPatience(t, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := wait{logger: slog.New(slog.DiscardHandler), began: time.Now(), length: time.Hour}
	if err := w.pause(ctx, errLost); !errors.Is(err, context.Canceled) || !errors.Is(err, errLost) {
		t.Error(err)
	}
}

// In this process the log is there or not.
func TestAnEmbeddedLogIsNotWaitedFor(t *testing.T) {
	setPatience(t, time.Hour)
	s, _ := startServer(t, t.TempDir())
	l, tries := writerLog(t, s), 0
	if err := l.Patiently(t.Context(), func() error { tries++; return errLost }); !errors.Is(err, errLost) || tries != 1 {
		t.Errorf("%d tries: %v", tries, err)
	}
}
