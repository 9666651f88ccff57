package replica

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// Config is what a Keeper works from. The functions are called from several goroutines, Publish for one issuer from one at a time;
// they must not call back.
type Config struct {
	Origin  string       // base URL
	Client  *http.Client // asks the origin as this edge; see [Keeper]
	Sources *http.Client // fetches snapshots as this edge, from the origin and from other edges
	Issuers []string     // those to hold; empty: all that the origin has
	Dir     string       // the data folder: holds snapshots/ISSUER and set-aside

	MemoryLimit   int64         // bytes that all tables may take together; 0: as much as there is
	SnapshotEvery time.Duration // between two tables kept for the next start
	ScrubEvery    time.Duration // in which all of a table is read again
	PeerURL       string        // where [Keeper.Peers] is served, for the origin to tell others; empty: nowhere

	Version string                                                 // of scanedge, for the origin
	Scans   func() uint64                                          // scans since the start, for the origin; nil: nobody counts
	Used    func(sent map[string]int64, most int) map[string]int64 // see [access.Uses.News]; nil: none

	Incarnation string // names this process among those of its edge; a random one if it is empty
	Silent      bool   // the origin is told nothing before [Keeper.Beside]

	Learned func(access.Control)      // called with what the origin says first and whenever it says something new
	Publish func(issuer.Public, View) // called when an issuer's table is at a new offset, agreed with a beat or became suspect
	Logger  *slog.Logger
	Metrics *metrics.Set
}

func (c *Config) snapshots(issuer string) string { return filepath.Join(c.Dir, "snapshots", issuer) }

// transfers is how many other edges this one feeds at once.
const transfers = 4

// Keeper keeps an edge's replicas. Its clients must have no Timeout and speak HTTP/1.1: each stream has a connection of its own, so that
// one that leads nowhere is given up with its stream, where requests that share one would go on to use it. Its methods are safe for concurrent use; Run is called once.
type Keeper struct {
	cfg    Config
	origin *origin
	memory *memory
	peers  *snapshot.Server
	news   chan struct{} // of one place: there is something that the origin is to be told at once
	voice  *voice
	folder folder

	mu       sync.Mutex // guards replicas, which Run alone changes
	replicas map[string]*Replica

	// Run's own.
	known     access.Control       // what the origin said last
	following map[string]following // by issuer
}

// New returns a Keeper that does nothing yet.
func New(cfg Config) *Keeper {
	return &Keeper{
		cfg:       cfg,
		origin:    &origin{url: cfg.Origin, client: cfg.Client, standing: standing{logger: cfg.Logger}},
		memory:    &memory{limit: cfg.MemoryLimit, users: map[*Replica]struct{}{}},
		peers:     snapshot.NewServer(transfers),
		news:      make(chan struct{}, 1),
		voice:     newVoice(cfg.Incarnation, cfg.Silent),
		replicas:  map[string]*Replica{},
		following: map[string]following{},
	}
}

// Run keeps the replicas until ctx ends. It waits for an origin that is not there.
func (k *Keeper) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { k.tell(ctx) })
	pause, out := new(backoff), new(backoff)
	heard := func() {
		pause.reset()
		out.reset()
		k.origin.standing.accepted()
	}
	for ctx.Err() == nil {
		err := k.learn(ctx, heard)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrNotEnrolled): // it was said
			out.wait(ctx, pauseOut)
		default:
			k.cfg.Logger.Warn("waiting for the origin", "err", err)
			pause.wait(ctx, pauseAgain)
		}
	}
	for _, f := range k.following {
		f.stop()
	}
	for _, r := range k.replicas {
		r.close()
	}
	wg.Wait()
	k.origin.client.CloseIdleConnections()
	k.cfg.Sources.CloseIdleConnections()
}

// wants reports whether this edge is to hold an issuer.
func (k *Keeper) wants(id string) bool {
	return len(k.cfg.Issuers) == 0 || slices.Contains(k.cfg.Issuers, id)
}

// replica is the one that goes on from where it was, or a new one if the issuer is new or has other keys. old is the one that it
// replaces, which nobody follows any more.
func (k *Keeper) replica(ctx context.Context, pub issuer.Public) (*Replica, error) {
	old := k.replicas[pub.ID]
	if old != nil && old.sameKeys(pub) {
		old.update(pub)
		return old, nil
	}
	if old != nil {
		k.cfg.Logger.Error("the issuer has other keys than before; its table is built anew", "issuer", pub.ID)
		old.disown("the issuer has other keys now")
		old.close()
	}
	_, done, err := k.folder.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := newReplica(pub, k)
	if err != nil {
		return nil, err
	}
	r.start(ctx)
	k.mu.Lock()
	k.replicas[pub.ID] = r
	k.mu.Unlock()
	k.gauges(pub.ID)
	return r, nil
}
