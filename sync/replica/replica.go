// Package replica keeps an edge's table of an issuer equal to the origin's, and knows how far it can be believed.
//
//   - keep.go: [Keep], all replicas of an edge, from the first call to the origin on
//   - bootstrap.go: [Fetch], that call: by it an edge learns all but the origin's address
//   - replica.go: [Replica], one issuer's table, fed from its log
//
// Data flows one way: log -> check -> apply -> compare with a beat -> publish. Each batch must follow the one before by its
// hash; live, each must carry the issuer's signature; while catching up the chain is enough, for the first signature after it
// speaks for all that came before. A beat must name the table's very count and digest. A table is published first when it has
// caught up and such a beat agreed.
//
// A replica that finds a gap, a fork, a forged record or a digest that disagrees stops, says so, and builds its table anew
// from the log, while what it published before goes on growing older.
package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// View is what a replica publishes: a table and what is known of it. It is a value; the table in it goes on changing.
type View struct {
	Table  *cache.Table
	Offset uint64    // the table holds every batch up to here
	Beat   time.Time // when the replica last agreed with a beat, by this machine's clock
}

// Replica follows one issuer. Run is for one goroutine at a time.
type Replica struct {
	issuer  issuer.Public
	publish func(View) // called by Run after each batch and each beat, from the first beat that agreed on
	logger  *slog.Logger
	applied *metrics.Counter

	// Run's own.
	table    *cache.Table
	at       issuer.Position
	caughtUp bool      // the table holds all that the log held when the replica began, and a signature has vouched for it
	beat     time.Time // zero until a beat agreed with this table
}

// New returns a replica of an issuer with nothing in it yet.
func New(pub issuer.Public, publish func(View), logger *slog.Logger, set *metrics.Set) *Replica {
	return &Replica{
		issuer: pub, publish: publish, logger: logger, table: new(cache.Table),
		applied: set.GetOrCreateCounter(fmt.Sprintf("scanedge_deltas_applied_total{issuer=%q}", pub.ID)),
	}
}

// ErrDiverged is the error of a table that is not what the origin's beat says.
var ErrDiverged = errors.New("the table differs from the origin's")

// Run follows the log until ctx ends or the log can't be followed; it always returns an error, and may be called again.
func (r *Replica) Run(ctx context.Context, log *deltalog.Log) error {
	err := log.Follow(ctx, r.at.Offset, r.take)
	if broken(err) {
		r.logger.Error("this replica stops here and builds its table anew from the log", "offset", r.at.Offset, "err", err)
		r.table, r.at, r.caughtUp, r.beat = new(cache.Table), issuer.Position{}, false, time.Time{}
	}
	return err
}

// broken reports whether err means that going on from here could never be right.
func broken(err error) bool {
	return errors.Is(err, issuer.ErrChain) || errors.Is(err, issuer.ErrSignature) ||
		errors.Is(err, ErrDiverged) || errors.Is(err, deltalog.ErrRewound)
}

// take checks and applies one record of the log.
func (r *Replica) take(e deltalog.Entry) error {
	head, body, hash, err := issuer.Open(e.Record)
	if err == nil {
		err = head.Follows(r.at, r.issuer.ID, e.Seq)
	}
	vouches := r.caughtUp || e.CaughtUp
	if err == nil && vouches {
		err = issuer.Verify(e.Record, hash, r.issuer.Key)
	}
	if err == nil {
		err = r.apply(head, body, hash, vouches)
	}
	if err != nil {
		return fmt.Errorf("sequence %d: %w", e.Seq, err)
	}
	if vouches {
		r.arrive()
	}
	return nil
}

func (r *Replica) apply(head issuer.Head, body []byte, hash issuer.Hash, live bool) error {
	if head.Kind == issuer.Beat {
		return r.compare(body, live)
	}
	batch, err := delta.ParseBatch(body)
	if err != nil {
		return err
	}
	batch.Apply(r.table)
	r.at = issuer.Position{Offset: head.Offset, Hash: hash}
	r.applied.Add(batch.Len())
	return nil
}

// compare holds the table to a beat. One that was read while catching up proves the same but says nothing of now.
func (r *Replica) compare(body []byte, live bool) error {
	want, err := delta.ParseBeat(body)
	if err != nil {
		return err
	}
	if have := delta.BeatOf(r.table); have != want {
		return fmt.Errorf("%w at %s: %d subjects with digest %s, not %d with %s",
			ErrDiverged, r.at, have.Count, have.Digest, want.Count, want.Digest)
	}
	if !live {
		return nil
	}
	if r.beat.IsZero() {
		debug.FreeOSMemory() // catching up leaves garbage as large as the table; nobody is served yet who could notice
		r.logger.Info("caught up, and the origin's beat agrees", "offset", r.at.Offset, "subjects", r.table.Len())
	}
	r.beat = time.Now()
	return nil
}

func (r *Replica) arrive() {
	r.caughtUp = true
	if !r.beat.IsZero() {
		r.publish(View{r.table, r.at.Offset, r.beat})
	}
}
