package origin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// natsServer is a NATS server as an operator may run one; its user is origin:o.
func natsServer(t *testing.T) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, Username: "origin", Password: "o",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	ns.Start()
	if !ns.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server is not up")
	}
	return ns
}

// The log may lie on another server: the origin's folder then holds all else.
func TestALogElsewhere(t *testing.T) {
	ns := natsServer(t)
	dir := t.TempDir()
	start := func(user string) (*Origin, error) {
		return Open(t.Context(), Config{
			Dir: dir, Issuers: []string{"demo-a"}, Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
			Log: &Elsewhere{URL: "nats://" + user + "@" + ns.Addr().String(), Replicas: 1},
		})
	}
	for i := range 3 {
		o, err := start("origin:o")
		if err != nil {
			t.Fatal(err)
		}
		pushN(t, o, i)
		take(t, o)
		if n := o.writers["demo-a"].table.Len(); n != i+2 {
			t.Errorf("%d subjects at start %d", n, i)
		}
		o.Close()
	}
	if o, err := start("origin:wrong"); err == nil || !strings.Contains(err.Error(), "log") {
		o.Close()
		t.Errorf("with a wrong password: %v", err)
	}
}

// A log that is deleted under an origin ends it as soon as it looks: no push is taken for stored, nor any log made in its place.
func TestALogElsewhereThatIsDeletedEndsTheOrigin(t *testing.T) {
	ns := natsServer(t)
	dir := t.TempDir()
	start := func() (*Origin, error) {
		return Open(t.Context(), Config{
			Dir: dir, Issuers: []string{"demo-a"}, Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
			Log: &Elsewhere{URL: "nats://origin:o@" + ns.Addr().String(), Replicas: 1},
		})
	}
	o, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	pushN(t, o, 0)
	take(t, o)
	deleteLog(t, ns, "demo-a")
	if rec := post(o, "demo-a", strings.NewReader(row("x", "red"))); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("told %d %s", rec.Code, rec.Body)
	}
	if err := <-o.Broken(); !errors.Is(err, errRemade) || !errors.Is(err, deltalog.ErrGone) { // the default is to wait for 20 s
		t.Error(err)
	}
	if o.word("demo-a", "x") != "none" {
		t.Error("a push was applied that no log has")
	}
	o.Close()
	if o, err := start(); err == nil {
		o.Close()
		t.Error("it starts with less than it acknowledged")
	}
}

// deleteLog deletes what the server holds of an issuer, as an operator does with the wrong command.
func deleteLog(t *testing.T, ns *server.Server, issuer string) {
	t.Helper()
	nc, err := nats.Connect("nats://origin:o@" + ns.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if m, err := nc.Request("$JS.API.STREAM.DELETE.issuer_"+issuer, nil, time.Minute); err != nil || !strings.Contains(string(m.Data), `"success":true`) {
		t.Fatalf("%+v, %v", m, err)
	}
}

// cutOff opens a new writer on the log of one that has stopped; what it reads of the log is cut off after so many records, again and
// again.
func cutOff(t *testing.T, was *writer, after int) (w *writer, reads int, err error) {
	t.Helper()
	store, err := snapshot.Open(t.TempDir(), was.secret.Public())
	if err != nil {
		t.Fatal(err)
	}
	w = &writer{secret: was.secret, log: was.log, logger: was.logger}
	w.read = func(ctx context.Context, from uint64, each func(deltalog.Entry) error) (uint64, error) {
		reads++
		n := 0
		return w.log.Replay(ctx, from, func(e deltalog.Entry) error {
			if err := each(e); err != nil {
				return err
			}
			if n++; n == after {
				return deltalog.ErrSilent
			}
			return nil
		})
	}
	err = w.rebuild(t.Context(), store)
	return w, reads, err
}

// A start that is cut off from a log elsewhere goes on where it was: it takes each record once, misses none, and believes none that
// is not signed, not even the last that it was given before it was cut off.
func TestAStartThatIsCutOffGoesOn(t *testing.T) {
	ns := natsServer(t)
	o, err := Open(t.Context(), Config{
		Dir: t.TempDir(), Issuers: []string{"demo-a"}, Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
		Log: &Elsewhere{URL: "nats://origin:o@" + ns.Addr().String(), Replicas: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for i := range 4 {
		pushN(t, o, i)
	}
	stopWriter(o)
	was := o.writers["demo-a"]
	for _, after := range []int{1, 2, 100} {
		w, reads, err := cutOff(t, was, after)
		if err != nil || w.at != was.at || w.table.Digest() != was.table.Digest() || (reads > 1) != (after < 100) {
			t.Errorf("cut off after %d: %d reads, at %s of %s, %v", after, reads, w.at, was.at, err)
		}
	}

	forged := was.chain()
	p := pushOf(t, was, delta.Info{}, row("x", "red"))
	forged.add(issuer.Batch, p.record, p)
	record := forged.records[0]
	record[len(record)-1] ^= 1
	if err := was.log.Append(t.Context(), was.last, record); err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{1, 100} {
		if _, _, err := cutOff(t, was, after); err == nil || !strings.Contains(err.Error(), "signature") {
			t.Errorf("a record that is not signed, cut off after %d: %v", after, err)
		}
	}
}
