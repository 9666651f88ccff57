package replica

import (
	"bytes"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chain makes an issuer's records as an origin would, and keeps the table that they make.
type chain struct {
	secret *issuer.Secret
	epoch  uint64
	at     cache.Position
	seq    uint64
	time   time.Time // zero: now
	table  *cache.Table
}

func newChain(t testing.TB) *chain { return newChainOf(t, "demo-a") }

func newChainOf(t testing.TB, id string) *chain {
	t.Helper()
	s, err := issuer.LoadOrCreate(filepath.Join(t.TempDir(), "s.json"), id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &chain{secret: s, epoch: 1, table: new(cache.Table)}
}

// fork is a chain that goes on as another one from here; forged is one that another key signs.
func (c *chain) fork(t testing.TB) *chain {
	other := *c
	other.table = new(cache.Table)
	copyTable(t, other.table, c.table)
	return &other
}

func (c *chain) forged(t testing.TB) *chain {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := *c
	other.table = new(cache.Table)
	other.secret = &issuer.Secret{ID: c.secret.ID, Seed: c.secret.Seed, Key: key}
	return &other
}

func (c *chain) head(kind issuer.Kind) issuer.Head {
	c.seq++
	now := c.time
	if now.IsZero() {
		now = time.Now()
	}
	return issuer.Head{Kind: kind, Issuer: c.secret.ID, Epoch: c.epoch, Offset: c.seq, Prev: c.at, Time: now}
}

// link makes a record of the chain.
func (c *chain) link(kind issuer.Kind, body []byte) entry {
	record, hash := issuer.Sign(append(issuer.AppendHead(nil, c.head(kind)), body...), c.secret.Key)
	c.at = cache.Position{Offset: c.seq, Hash: hash}
	return entry{Seq: c.seq, Record: record}
}

func (c *chain) key(subject string) cache.Key { return c.secret.Seed.Key([]byte(subject)) }

func (c *chain) batch(subject string, r cache.Record) entry {
	d := cache.Delta{Key: c.key(subject), Record: r}
	e := c.link(issuer.Batch, delta.AppendBatch(nil, delta.Info{Pusher: "push"}, []cache.Delta{d}))
	c.table.Begin(c.at)
	c.table.Put(d.Key, d.Record)
	c.table.End()
	return e
}

// reign begins a new epoch.
func (c *chain) reign() entry {
	c.epoch++
	e := c.link(issuer.Reign, nil)
	c.table.Begin(c.at)
	c.table.End()
	return e
}

func (c *chain) beat() entry {
	record, _ := issuer.Sign(delta.AppendBeat(issuer.AppendHead(nil, c.head(issuer.Beat)), delta.BeatOf(c.table)), c.secret.Key)
	return entry{Seq: c.seq, Record: record}
}

func copyTable(t testing.TB, dst, src *cache.Table) {
	t.Helper()
	src.Describe("demo-a", cache.SeedID{})
	var b bytes.Buffer
	if _, err := src.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := dst.ReadFrom(&b); err != nil {
		t.Fatal(err)
	}
}

func caughtUp(e entry) entry { e.CaughtUp = true; return e }

const red, green = cache.Record(2<<30 | 1<<24 - 1), cache.Record(1<<24 - 1)
