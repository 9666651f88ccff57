package replica

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// Config is what Keep works from. The functions are called from several goroutines, those of one issuer from one.
type Config struct {
	Origin  string                    // base URL
	Token   string                    // edge token; may be empty on the origin's machine
	Learned func(access.Bootstrap)    // called with each bootstrap, before its replicas run
	Publish func(issuer.Public, View) // called when an issuer's table is at a new offset or agreed with a beat
	Logger  *slog.Logger
	Metrics *metrics.Set
}

// Keep keeps an edge's replicas until ctx ends. It waits for an origin that is not there, and asks it anew when the log falls
// silent, for the log may have moved.
func Keep(ctx context.Context, cfg Config) {
	k := keeper{Config: cfg, replicas: map[string]*Replica{}}
	pause := backoff{}
	for ctx.Err() == nil {
		b, err := Fetch(ctx, cfg.Origin, cfg.Token)
		if err == nil {
			pause.reset()
			cfg.Learned(b)
			err = k.session(ctx, b)
		}
		if ctx.Err() == nil {
			cfg.Logger.Warn("waiting for the origin", "err", err)
			pause.wait(ctx)
		}
	}
}

type keeper struct {
	Config
	replicas map[string]*Replica
}

// session runs the replicas on one connection to the log until it falls silent.
func (k *keeper) session(ctx context.Context, b access.Bootstrap) error {
	conn, err := deltalog.Dial(b.Log.URL, b.Log.Token, k.Logger)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, pub := range b.Issuers {
		r := k.replica(pub)
		wg.Go(func() { cancel(r.keep(ctx, conn.Log(pub.ID))) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// replica is the one that goes on from where it was, or a new one if the issuer is new or has other keys.
func (k *keeper) replica(pub issuer.Public) *Replica {
	r := k.replicas[pub.ID]
	if r == nil || r.issuer.Seed != pub.Seed || !bytes.Equal(r.issuer.Key, pub.Key) {
		if r != nil {
			k.Logger.Error("the issuer has other keys than before; its table is built anew", "issuer", pub.ID)
		}
		r = New(pub, func(v View) { k.Publish(pub, v) }, k.Logger.With("issuer", pub.ID), k.Metrics)
		k.replicas[pub.ID] = r
	}
	return r
}

// keep runs a replica again and again: what is wrong with one issuer's log does not disturb the others. It returns when the
// log is silent or ctx ends.
func (r *Replica) keep(ctx context.Context, log *deltalog.Log) error {
	pause := backoff{}
	for {
		before := r.at
		err := r.Run(ctx, log)
		if ctx.Err() != nil || errors.Is(err, deltalog.ErrSilent) {
			return err
		}
		if r.at != before {
			pause.reset()
		}
		r.logger.Warn("not following the log; trying again", "err", err)
		pause.wait(ctx)
	}
}

// backoff doubles from 100 ms to 2 s.
type backoff struct{ next time.Duration }

const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 2 * time.Second
)

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context) {
	b.next = min(max(2*b.next, backoffFirst), backoffMost)
	select {
	case <-time.After(b.next):
	case <-ctx.Done():
	}
}
