package replica

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chain makes an issuer's records as an origin would, and keeps the table that they make.
type chain struct {
	secret *issuer.Secret
	at     issuer.Position
	seq    uint64
	table  cache.Table
}

func newChain(t *testing.T) *chain {
	t.Helper()
	s, err := issuer.LoadOrCreate(filepath.Join(t.TempDir(), "s.json"), "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	return &chain{secret: s}
}

func (c *chain) batch(subject string, r cache.Record) deltalog.Entry {
	c.seq++
	d := delta.Delta{Key: c.secret.Seed.Key([]byte(subject)), Record: r}
	head := issuer.Head{Kind: issuer.Batch, Issuer: "demo-a", Offset: c.seq, Prev: c.at, Time: time.Now()}
	record, hash := issuer.Sign(delta.AppendBatch(issuer.AppendHead(nil, head), "push", []delta.Delta{d}), c.secret.Key)
	c.at = issuer.Position{Offset: c.seq, Hash: hash}
	c.table.Put(d.Key, d.Record)
	return deltalog.Entry{Seq: c.seq, Record: record}
}

func (c *chain) beat() deltalog.Entry {
	c.seq++
	head := issuer.Head{Kind: issuer.Beat, Issuer: "demo-a", Offset: c.at.Offset, Prev: c.at, Time: time.Now()}
	record, _ := issuer.Sign(delta.AppendBeat(issuer.AppendHead(nil, head), delta.BeatOf(&c.table)), c.secret.Key)
	return deltalog.Entry{Seq: c.seq, Record: record}
}

// published collects what a replica says.
type published struct {
	mu    sync.Mutex
	views []View
}

func (p *published) add(v View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.views = append(p.views, v)
}

func (p *published) last() (View, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.views) == 0 {
		return View{}, false
	}
	return p.views[len(p.views)-1], true
}

func newReplica(c *chain) (*Replica, *published) {
	var p published
	return New(c.secret.Public(), p.add, slog.New(slog.DiscardHandler), metrics.NewSet()), &p
}

func caughtUp(e deltalog.Entry) deltalog.Entry { e.CaughtUp = true; return e }

func feed(t *testing.T, r *Replica, entries ...deltalog.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := r.take(e); err != nil {
			t.Fatal(err)
		}
	}
}

const red, green = cache.Record(2<<30 | 1<<24 - 1), cache.Record(1<<24 - 1)

func TestNothingIsPublishedBeforeABeatAgreed(t *testing.T) {
	c := newChain(t)
	r, p := newReplica(c)
	feed(t, r, c.batch("x", green), c.beat(), c.batch("x", red))
	if v, ok := p.last(); ok {
		t.Fatalf("published while catching up: %+v", v)
	}
	feed(t, r, caughtUp(c.batch("y", green)))
	if v, ok := p.last(); ok {
		t.Fatalf("published before a beat: %+v", v)
	}
	feed(t, r, c.beat())
	v, ok := p.last()
	if !ok || v.Offset != c.at.Offset || v.Beat.IsZero() {
		t.Fatalf("after a beat: %+v, %v", v, ok)
	}
	if got, _ := v.Table.Lookup(c.secret.Seed.Key([]byte("x"))); got != red {
		t.Errorf("x is %v", got)
	}
	feed(t, r, c.batch("x", green))
	if v, _ := p.last(); v.Offset != c.at.Offset {
		t.Errorf("a live batch is published at %d, not %d", v.Offset, c.at.Offset)
	}
}

// Whatever a record is that does not belong where it stands: it is refused, and nothing of it is applied.
func TestForgedOrWrongRecordsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(c *chain) deltalog.Entry
		err   error
	}{
		"a gap": {func(c *chain) deltalog.Entry { c.batch("lost", red); return c.batch("x", red) }, issuer.ErrChain},
		"a fork": {func(c *chain) deltalog.Entry {
			fork := *newChainOf(c)
			fork.at.Hash[0] ^= 1
			return fork.batch("x", red)
		}, issuer.ErrChain},
		"one twice": {func(c *chain) deltalog.Entry {
			e := c.batch("y", green)
			e.Seq++
			return e
		}, issuer.ErrChain},
		"another's signature": {func(c *chain) deltalog.Entry {
			_, key, _ := ed25519.GenerateKey(nil)
			c.secret = &issuer.Secret{ID: "demo-a", Seed: c.secret.Seed, Key: key}
			return c.batch("x", red)
		}, issuer.ErrSignature},
		"a forged beat": {func(c *chain) deltalog.Entry {
			_, key, _ := ed25519.GenerateKey(nil)
			c.secret = &issuer.Secret{ID: "demo-a", Seed: c.secret.Seed, Key: key}
			return c.beat()
		}, issuer.ErrSignature},
		"a beat that disagrees": {func(c *chain) deltalog.Entry { c.table.Put(cache.Key{Hi: 1}, red); return c.beat() }, ErrDiverged},
		"a beat of other content": {func(c *chain) deltalog.Entry {
			c.table.Put(c.secret.Seed.Key([]byte("x")), red)
			return c.beat()
		}, ErrDiverged},
		"a flipped bit": {func(c *chain) deltalog.Entry {
			e := c.batch("x", red)
			e.Record[len(e.Record)-65] ^= 1
			return e
		}, issuer.ErrSignature},
		"no record": {func(*chain) deltalog.Entry { return deltalog.Entry{Seq: 5, Record: []byte("nonsense")} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ch := newChain(t)
			r, p := newReplica(ch)
			feed(t, r, ch.batch("x", green), caughtUp(ch.beat()))
			before, _ := p.last()
			if name == "a gap" {
				before.Offset = ch.at.Offset
			}
			err := r.take(c.wrong(ch))
			if err == nil || c.err != nil && !errors.Is(err, c.err) || (c.err != nil) != broken(err) {
				t.Errorf("taken: %v", err)
			}
			if v, _ := p.last(); v != before {
				t.Errorf("published %+v", v)
			}
			if got, _ := before.Table.Lookup(ch.secret.Seed.Key([]byte("x"))); got != green {
				t.Errorf("x is %v", got)
			}
		})
	}
}

func newChainOf(c *chain) *chain { return &chain{secret: c.secret, at: c.at, seq: c.seq} }

// While catching up a signature is not looked at; the first that is speaks for the chain before it, so a forger's batch shows
// at the latest there.
func TestAForgedPastIsFoundByTheFirstSignature(t *testing.T) {
	c := newChain(t)
	r, p := newReplica(c)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	forger := newChainOf(c)
	forger.secret = &issuer.Secret{ID: "demo-a", Seed: c.secret.Seed, Key: key}
	feed(t, r, forger.batch("x", green))
	if err := r.take(caughtUp(forger.beat())); !errors.Is(err, issuer.ErrSignature) {
		t.Errorf("a forger's beat: %v", err)
	}
	if err := r.take(caughtUp(c.beat())); !errors.Is(err, issuer.ErrChain) {
		t.Errorf("the issuer's beat on a forged past: %v", err)
	}
	if v, ok := p.last(); ok {
		t.Errorf("published %+v", v)
	}
}

// fleet is a log with an origin's bootstrap call in front of it.
type fleet struct {
	*chain
	log    *deltalog.Log
	origin *httptest.Server
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	s, err := deltalog.StartServer(deltalog.ServerConfig{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", OriginToken: "o", EdgeToken: "e", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	f := &fleet{chain: newChain(t)}
	if f.log, err = conn.Create(t.Context(), "demo-a"); err != nil {
		t.Fatal(err)
	}
	f.origin = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(rw).Encode(access.Bootstrap{
			Version: access.BootstrapVersion, Log: access.LogAddress{URL: "nats://" + s.Addr(), Token: "e"},
			Issuers: []issuer.Public{f.secret.Public()},
		})
	}))
	t.Cleanup(f.origin.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return f
}

// store appends a record that the chain made.
func (f *fleet) store(t *testing.T, e deltalog.Entry) {
	t.Helper()
	if err := f.log.Append(t.Context(), e.Seq-1, e.Record); err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) keep(t *testing.T, p *published) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Keep(ctx, Config{
			Origin: f.origin.URL, Learned: func(access.Bootstrap) {}, Publish: func(_ issuer.Public, v View) { p.add(v) },
			Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet(),
		})
	}()
	return func() { cancel(); <-done }
}

func (p *published) await(t *testing.T, what string, ok func(View) bool) View {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if v, any := p.last(); any && ok(v) {
			return v
		}
		if time.Now().After(deadline) {
			v, any := p.last()
			t.Fatalf("never %s; last %+v, %v", what, v, any)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestKeepFollowsALogAndHealsADivergence(t *testing.T) {
	f := newFleet(t)
	f.store(t, f.batch("x", green))
	f.store(t, f.beat())
	var p published
	defer f.keep(t, &p)()
	v := p.await(t, "caught up", func(v View) bool { return v.Offset == f.at.Offset })
	// What no delta did: the replica must find it by the next beat and build the table anew.
	v.Table.Put(cache.Key{Hi: 9}, red)
	f.store(t, f.beat())
	healed := p.await(t, "another table", func(now View) bool { return now.Table != v.Table })
	if healed.Table.Digest() != f.table.Digest() {
		t.Errorf("the new table has digest %s, want %s", healed.Table.Digest(), f.table.Digest())
	}
	f.store(t, f.batch("x", red))
	p.await(t, "at the next batch", func(v View) bool { return v.Offset == f.at.Offset })
}

func TestKeepWaitsForTheOrigin(t *testing.T) {
	f := newFleet(t)
	f.store(t, f.batch("x", green))
	f.store(t, f.beat())
	url := f.origin.URL
	f.origin.Close()
	var p published
	stop := f.keep(t, &p)
	time.Sleep(50 * time.Millisecond)
	if _, ok := p.last(); ok {
		t.Error("published without an origin")
	}
	stop()
	if _, err := Fetch(t.Context(), url, ""); err == nil || !strings.Contains(err.Error(), url) {
		t.Errorf("fetch: %v", err)
	}
}

func TestFetchRefusals(t *testing.T) {
	for want, answer := range map[string]func(http.ResponseWriter){
		"401":              func(rw http.ResponseWriter) { rw.WriteHeader(401) },
		"is no bootstrap":  func(rw http.ResponseWriter) { _, _ = rw.Write([]byte("<html>")) },
		"speaks version 7": func(rw http.ResponseWriter) { _, _ = rw.Write([]byte(`{"version":7}`)) },
	} {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { answer(rw) }))
		if _, err := Fetch(t.Context(), s.URL, "t"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		s.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}
