// Package origin is the authority's side: it takes pushes, orders them, makes them durable and says each second what the
// tables must hold.
//
//   - origin.go: [Origin], from an open folder to a stop
//   - writer.go: one goroutine an issuer appends to the log and applies to the table, in one order
//   - group.go: which pushes are stored together, and what each is told
//   - keys.go: which pushes were before, so that a retry is told from a new one
//   - push.go: a push over HTTP: text in, one batch or one refusal out
//   - body.go: small bodies, of one JSON object
//   - bulk.go: how much memory pushes may take that are read and held at once
//   - changes.go: what a push changes, counted; limit.go: how much it may; preview.go: a push that is only counted
//   - held.go, held_file.go, held_api.go: pushes that change too much, until somebody approves them
//   - target.go: the whole table made another one; replace.go: by a file; rollback.go: by what held at an offset
//   - subject.go: a subject's record and who pushed it
//   - pushers.go, caller.go: whose token a request bears, what it may, and how the journal names it
//   - ingest.go: its body to keyed deltas: decompression, parsing, keys
//   - records.go: the log's records as they are stored, for who checks them
//   - disk.go: what is done when the log's disk is full
//   - snapshots.go: from what a start rebuilds its tables; snapshots in the background, and the log trimmed behind them
//   - api.go: the endpoints; snapshots for edges
//   - follow.go: the log as edges follow it; tail.go: its newest records, for them; control.go: what they must know beside it
//   - tokens.go, issuers.go: for operators: who may, and what is settled for an issuer; waiting.go: issuers whose secrets are not there
//   - backup.go: what it takes to restore the origin, sent while pushes go on; backup_tar.go: how it is sent;
//     backup_receive.go: written to a folder; backup_verify.go: read again; restore.go: made an origin's folder
//   - edges.go: edges enrolled, joined, known by their certificates, and revoked
//   - fleet.go: what edges report; reports.go: their streams; reach.go: who waits for them to show an offset; status.go: all of it for people
//   - peers.go: which edges have which snapshot
//
// Data flows one way: push -> validate (push.go) -> order, sign, store (writer.go) -> table -> beat. A push is acknowledged
// once the log has it on disk; what was acknowledged is there after any kill. The table is rebuilt at each start from the newest
// snapshot and the log after it. A snapshot says in its own file where in the log it was begun, with the hash of the record there:
// so the two can't deviate unseen, and an origin that finds less than it acknowledged does not start.
package origin

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sync/semaphore"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// Config is what an Origin is made from.
type Config struct {
	Dir      string // holds the log, the issuers' secrets and snapshots, and the tokens
	Log      *Elsewhere
	Version  string        // of scanedge, for the status
	Issuers  []string      // ids; each is made at its first start
	MaxStale time.Duration // of issuers that are made; 0: edges refuse as soon as they may not vouch
	Logger   *slog.Logger
	Metrics  *metrics.Set

	EdgesAt string   // URL of the TLS listener, as edges are told it: https://HOST:PORT
	Hosts   []string // that the origin's own certificate names, besides the loopback

	SnapshotEvery time.Duration // the age at which a snapshot is replaced, if anything changed; 0: only when the log has grown
}

// Elsewhere is where the log is, if it is not in this process.
type Elsewhere struct {
	URL      string // see [deltalog.ConnectTo]
	Replicas int    // on how many servers each log is kept
}

// Origin is a running origin. Its handlers are safe for concurrent use.
type Origin struct {
	cfg    Config
	access *access.Store // who may
	tokens access.Tokens // those of the first start, as far as tokens.json still shows them

	enrolled enrolment

	log       *deltalog.Server // nil if it is elsewhere
	conn      *deltalog.Conn
	disk      *disk
	places    *places // for large pushes
	snapshots *snapshot.Server
	readers   *semaphore.Weighted // room for edges that read logs, in bytes
	fleet     *fleet
	searching chan struct{} // holds one for each look-up that reads a log
	thinking  chan struct{} // holds one while a second table is in memory
	ready     atomic.Bool
	broken    chan error // receives once, when the log takes no more

	adding  sync.Mutex         // held while an issuer is added, and to close
	mu      sync.RWMutex       // guards
	writers map[string]*writer // by issuer; only ever added to
	waiting map[string]error   // issuers without a writer, and why: see wait

	running context.Context // ends with stop: that of the writers
	stop    context.CancelFunc
	streams context.Context // ends with cut: that of answers without an end
	cut     context.CancelFunc
	wg      sync.WaitGroup // the writers, keepSnapshots, keepLooking, and the keeping of tokens
}

// Open reads the folder, starts the log, rebuilds the tables and starts the writers. The folder must be this process's alone.
func Open(ctx context.Context, cfg Config) (*Origin, error) {
	for _, id := range cfg.Issuers {
		if err := cache.CheckIssuer([]byte(id)); err != nil {
			return nil, fmt.Errorf("open issuer %q: %w", id, err)
		}
	}
	store, tokens, err := access.Open(cfg.Dir)
	if err != nil {
		return nil, err
	}
	o := &Origin{
		cfg: cfg, access: store, tokens: tokens, places: newPlaces(cfg.Metrics), snapshots: snapshot.NewServer(transfers),
		writers: map[string]*writer{}, waiting: map[string]error{}, broken: make(chan error, 1), readers: semaphore.NewWeighted(readersRoom),
		searching: make(chan struct{}, searches), thinking: make(chan struct{}, 1), fleet: newFleet(cfg.Metrics),
	}
	o.running, o.stop = context.WithCancel(context.WithoutCancel(ctx))
	o.streams, o.cut = context.WithCancel(context.Background())
	o.wg.Go(func() { o.access.Keep(o.running, cfg.Logger) })
	if err := o.open(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *Origin) open(ctx context.Context) (err error) {
	for _, dir := range []string{"log", "issuers", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(o.cfg.Dir, dir), 0o700); err != nil {
			return fmt.Errorf("open data folder: %w", err)
		}
	}
	if err := o.openEnrolment(); err != nil {
		return err
	}
	o.openFleet()
	if err := o.connect(ctx); err != nil {
		return err
	}
	for _, id := range o.cfg.Issuers {
		if _, err := o.add(ctx, id, o.cfg.MaxStale); issuer.IsGiven(err) {
			o.wait(id, err)
		} else if err != nil {
			return err
		}
	}
	o.cfg.Metrics.NewGauge("scanedge_issuers_waiting", func() float64 { return float64(len(o.allWaiting())) })
	o.wg.Go(func() { o.keepSnapshots(o.running) })
	o.wg.Go(func() { o.keepLooking(o.running) })
	o.ready.Store(true)
	return nil
}

// connect connects to the log, which it starts if it is to be in this process.
func (o *Origin) connect(ctx context.Context) (err error) {
	if at := o.cfg.Log; at != nil {
		if o.conn, err = deltalog.ConnectTo(ctx, at.URL, o.cfg.Logger); err != nil {
			return err
		}
		o.conn.Replicas = at.Replicas
		o.disk = &disk{name: "the disks of its NATS servers", logger: o.cfg.Logger}
		return nil
	}
	dir := filepath.Join(o.cfg.Dir, "log")
	o.log, err = deltalog.StartServer(deltalog.ServerConfig{Dir: dir, Logger: o.cfg.Logger})
	if err == nil {
		o.conn, err = o.log.Connect()
	}
	o.disk = &disk{server: o.log, name: "the disk of " + dir, logger: o.cfg.Logger}
	return err
}

// add opens an issuer, made if there is none, and starts its writer. Its caller holds adding, or is the only one yet.
func (o *Origin) add(ctx context.Context, id string, maxStale time.Duration) (*writer, error) {
	secret, err := issuer.LoadOrCreate(o.issuerFile(id), id, maxStale)
	if err != nil {
		return nil, err
	}
	return o.begin(ctx, secret)
}

func (o *Origin) issuerFile(id string) string { return filepath.Join(o.cfg.Dir, "issuers", id+".json") }

// begin opens the log and the table of an issuer and starts its writer. Its caller holds adding, or is the only one yet.
func (o *Origin) begin(ctx context.Context, secret *issuer.Secret) (*writer, error) {
	id := secret.ID
	for _, path := range secret.Given().Exposed() {
		o.cfg.Logger.Warn("every user of this machine can read an issuer's secret; mount it with mode 0400, or 0440 for a group, or chmod o= "+path,
			"issuer", id, "path", path)
	}
	if len(secret.CodeKeys()) == 0 { // a build made it that knew of none
		if err := secret.Settle(secret.Policy(), issuer.Rekey{New: true}); err != nil {
			return nil, err
		}
	}
	store, err := snapshot.Open(filepath.Join(o.cfg.Dir, "snapshots", id), secret.Public())
	if err != nil {
		return nil, err
	}
	restored, err := readMark(o.cfg.Dir, id)
	if err != nil {
		return nil, err
	}
	w, err := openWriter(ctx, o.conn, secret, store, restored, o.disk, o.cfg.Logger.With("issuer", id), o.cfg.Metrics)
	if err != nil {
		return nil, err
	}
	if err := dropMark(o.cfg.Dir, id); err != nil { // it would have a log that was lost later pass for whole
		return nil, err
	}
	if w.held, err = openHeld(filepath.Join(o.cfg.Dir, "held", id), w.logger); err != nil {
		return nil, err
	}
	w.measure(o.cfg.Metrics)
	w.broken = o.fail
	w.snapshots = newSnapshots(w, store, o.snapshots, o.cfg.SnapshotEvery, o.cfg.Metrics)
	o.mu.Lock()
	o.writers[id] = w
	delete(o.waiting, id)
	o.mu.Unlock()
	o.wg.Go(func() { w.run(o.running) })
	o.access.Changed()
	return w, nil
}

// writer returns an issuer's, nil if there is no such issuer.
func (o *Origin) writer(issuer string) *writer {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.writers[issuer]
}

// Ready reports whether pushes are taken.
func (o *Origin) Ready() bool { return o.ready.Load() }

// fail is called when a log has taken nothing for long: after a full disk, say, the log's server takes no more until it is
// opened anew, also when there is space again.
func (o *Origin) fail(err error) {
	o.ready.Store(false)
	select {
	case o.broken <- err:
	default:
	}
}

// Broken receives why the log takes no more. The process is to end then, and to be started again.
func (o *Origin) Broken() <-chan error { return o.broken }

// EndStreams ends the answers that have no end of their own, and lets none begin; all else goes on. A server that waits for the
// requests under way calls it first.
func (o *Origin) EndStreams() { o.cut() }

// Close stops the writers, after the pushes that they hold, and then the log.
func (o *Origin) Close() {
	o.ready.Store(false)
	o.EndStreams()
	o.stop() // also ends the adding of an issuer that waited for its secret
	o.adding.Lock()
	defer o.adding.Unlock()
	o.wg.Wait()
	if o.conn != nil {
		o.conn.Close()
	}
	if o.log != nil {
		o.log.Stop()
	}
}
