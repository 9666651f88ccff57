// Package origin is the authority's side: it takes pushes, orders them, makes them durable and says each second what the
// tables must hold.
//
//   - origin.go: [Origin], from an open folder to a stop
//   - writer.go: one goroutine an issuer appends to the log and applies to the table, in one order
//   - push.go: a push over HTTP: text in, one batch or one refusal out
//   - api.go: the other endpoints: bootstrap for edges, issuers for operators
//
// Data flows one way: push -> validate (push.go) -> order, sign, store (writer.go) -> table -> beat. A push is acknowledged
// once the log has it on disk; what was acknowledged is there after any kill. The table is rebuilt from the log at each
// start, so no state lies beside the log that could deviate from it.
package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// Config is what an Origin is made from.
type Config struct {
	Dir       string   // holds the log, the issuers' secrets and the tokens
	LogListen string   // HOST:PORT on which edges follow the log; port 0 picks one
	Issuers   []string // ids; each is made at its first start
	Logger    *slog.Logger
	Metrics   *metrics.Set
}

// Origin is a running origin. Its handlers are safe for concurrent use.
type Origin struct {
	cfg    Config
	tokens access.Tokens

	pushers, operators, edges, scanners access.Set // the tokens by the door that they open

	log     *deltalog.Server
	conn    *deltalog.Conn
	writers map[string]*writer // by issuer; not changed once open
	ready   atomic.Bool
	broken  chan error // receives once, when the log takes no more

	stop context.CancelFunc
	wg   sync.WaitGroup // the writers
}

// Open reads the folder, starts the log, rebuilds the tables and starts the writers. The folder must be this process's alone.
func Open(ctx context.Context, cfg Config) (*Origin, error) {
	for _, id := range cfg.Issuers {
		if err := cache.CheckIssuer([]byte(id)); err != nil {
			return nil, fmt.Errorf("open issuer %q: %w", id, err)
		}
	}
	tokens, err := access.LoadOrCreate(filepath.Join(cfg.Dir, "tokens.json"))
	if err != nil {
		return nil, err
	}
	o := &Origin{cfg: cfg, tokens: tokens, writers: map[string]*writer{}, broken: make(chan error, 1)}
	o.pushers, o.operators = access.SetOf("push", tokens.Push), access.SetOf("admin", tokens.Admin)
	o.edges, o.scanners = access.SetOf("edge", tokens.Edge), access.SetOf("scanner", tokens.Scanner)
	if err := o.open(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *Origin) open(ctx context.Context) (err error) {
	logDir := filepath.Join(o.cfg.Dir, "log")
	secrets := filepath.Join(o.cfg.Dir, "issuers")
	if err := errors.Join(os.MkdirAll(logDir, 0o700), os.MkdirAll(secrets, 0o700)); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	o.log, err = deltalog.StartServer(deltalog.ServerConfig{
		Dir: logDir, Listen: o.cfg.LogListen, OriginToken: o.tokens.Admin, EdgeToken: o.tokens.Log, Logger: o.cfg.Logger,
	})
	if err != nil {
		return err
	}
	if o.conn, err = o.log.Connect(); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	o.stop = stop
	for _, id := range o.cfg.Issuers {
		secret, err := issuer.LoadOrCreate(filepath.Join(secrets, id+".json"), id)
		if err != nil {
			return err
		}
		w, err := openWriter(ctx, o.conn, secret, o.cfg.Logger.With("issuer", id), o.cfg.Metrics)
		if err != nil {
			return err
		}
		w.broken = o.fail
		o.writers[id] = w
		o.wg.Go(func() { w.run(run) })
	}
	o.ready.Store(true)
	return nil
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

// LogAddr is where edges follow the log, HOST:PORT.
func (o *Origin) LogAddr() string { return o.log.Addr() }

// Close stops the writers, after the pushes that they hold, and then the log.
func (o *Origin) Close() {
	o.ready.Store(false)
	if o.stop != nil {
		o.stop()
	}
	o.wg.Wait()
	if o.conn != nil {
		o.conn.Close()
	}
	if o.log != nil {
		o.log.Stop()
	}
}
