// Package replica keeps an edge's tables equal to the origin's, and knows how far they can be believed.
//
//   - keep.go: [Keeper], all replicas of an edge; control.go: what the origin says that there is to hold; standing.go: whether it lets this edge in
//   - ask.go: what an edge asks the origin; stream.go: one issuer's log, as long as the origin sends it
//   - replica.go: [Replica], one issuer's table: found, followed, shown
//   - track.go: one table on its way along the log: check, apply, compare, as a function of record and table alone
//   - decide.go: what follows an error, likewise
//   - load.go: where a table comes from; memory.go: whether there is room for a second one
//   - own.go: tables kept for the next start; scrub.go: their memory read again; aside.go: records that can't be applied
//   - yield.go: the data folder left to another process; voice.go: who of an edge's processes this one is
//   - report.go: what is known of a replica, for people; tell.go: the origin is told so, and which snapshots this edge offers to others
//
// Data flows one way: log -> check -> apply -> compare with a beat -> publish. Each batch must follow the one before by its
// hash. At the log's end each must carry the issuer's signature; far from it the chain is enough, for each beat's signature, or the
// first at the end, speaks for all that came before. A beat must name the table's very count and digests.
//
// # Invariants
//
//   - a table is published first when it was exact, all that the log held was applied, and a beat made since agreed
//   - a table's age begins when the beat was made that it agreed with: a first one since the log was asked for its end came at once,
//     or within the second in which it was due, and later ones were made as long after it as the issuer signed. So beats that are
//     read late make no table younger; ages are differences of monotonic times
//   - a record that is refused changes nothing; a table whose last records nobody signed is thrown away with them
//   - a table that is known to be wrong, or is being replaced in place, is published as suspect before anything else is done about it
//   - a table is thrown away only when another one has agreed, unless there is no memory for two
//
// # Where a table comes from
//
// The own table on disk, which this edge kept; the newest snapshot on disk that the issuer signed; the one that the origin offers,
// fetched from peers or from it; and where it offers none, the log from its start. What turns out to be of no use is dropped on
// the way.
package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// visibleBounds are those of the times from push to visible, in seconds: from one machine to a line that is broken.
var visibleBounds = []float64{.001, .002, .003, .005, .0075, .01, .02, .05, .1, .25, .5, 1, 5, 30}

// View is what a replica publishes: a table and what is known of it. It is a value; the table in it goes on changing.
type View struct {
	Table   *cache.Table
	Offset  uint64    // the table holds every batch up to here
	Beat    time.Time // when the last beat was made that it agreed with; it has a monotonic reading
	Suspect bool      // it is known to be wrong, or is being replaced under its readers: nobody may vouch for it
}

// Replica follows one issuer.
type Replica struct {
	pub    issuer.Public // its keys do not change; MaxStaleSeconds is that of shown
	cfg    *Config
	store  *snapshot.Store
	origin *origin
	memory *memory
	peers  *snapshot.Server
	news   chan<- struct{} // see Keeper
	folder *folder         // likewise
	logger *slog.Logger

	end   context.CancelFunc
	aside sync.WaitGroup // what is done beside following the log

	// The goroutine's that follows the log.
	newest mark // the last beat that agreed, with whatever table
	floor  uint64
	strict bool
	pauses map[*backoffRange]*backoff

	keeping sync.Mutex // held while the table is kept on disk

	mu      sync.Mutex    // guards what follows, and who publishes
	policy  issuer.Public // as the origin told it last
	next    *track        // is followed; nil: to be found. What is in it is the following goroutine's alone
	shown   *track        // is published; nil: none yet
	view    View          // as it was published last
	doubt   string        // why the table that is shown is not to be believed
	agreed  time.Time     // when it agreed first
	why     string        // what keeps the replica from following; for people
	offset  uint64        // where next is
	loading int64         // bytes of a table that is being read
	kept    kept
	scrubs  scrubs
	rebuilt uint64                  // how often a table was given up
	stop    context.CancelCauseFunc // ends the following of the log, until it is begun again

	applied *metrics.Counter
	delay   *metrics.PrometheusHistogram // of live batches: from when the origin began to write one until scans see it, by both clocks
}

func newReplica(pub issuer.Public, k *Keeper) (*Replica, error) {
	store, err := snapshot.Open(k.cfg.snapshots(pub.ID), pub)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		pub: pub, policy: pub, cfg: &k.cfg, store: store, origin: k.origin, memory: k.memory, peers: k.peers, news: k.news, folder: &k.folder,
		logger: k.cfg.Logger.With("issuer", pub.ID), pauses: map[*backoffRange]*backoff{},
		applied: k.cfg.Metrics.GetOrCreateCounter(fmt.Sprintf("scanedge_deltas_applied_total{issuer=%q}", pub.ID)),
		delay:   k.cfg.Metrics.GetOrCreatePrometheusHistogramExt(fmt.Sprintf("scanedge_visible_after_seconds{issuer=%q}", pub.ID), visibleBounds),
	}
	r.offerNewest()
	return r, nil
}

// start begins what a replica does beside following the log, until close.
func (r *Replica) start(ctx context.Context) {
	ctx, r.end = context.WithCancel(ctx)
	r.memory.add(r)
	r.aside.Go(func() { r.scrub(ctx) })
	r.aside.Go(func() { r.keepOwn(ctx) })
}

// close ends that. What the replica published last stays published.
func (r *Replica) close() {
	r.end()
	r.aside.Wait()
	r.memory.remove(r)
}

func (r *Replica) sameKeys(pub issuer.Public) bool {
	return r.pub.Seed == pub.Seed && bytes.Equal(r.pub.Key, pub.Key)
}

// keep follows the log until ctx ends. What is wrong with one issuer's log or table does not disturb the others.
func (r *Replica) keep(ctx context.Context) {
	for ctx.Err() == nil {
		k, err := r.found(ctx)
		if errors.Is(err, ErrNotEnrolled) {
			r.out(ctx)
			continue
		}
		if err != nil {
			r.say("no table yet: " + err.Error())
			r.logger.Warn("no table to follow the log with; trying again", "err", err)
			if errors.Is(err, errLoad) {
				r.wait(ctx, step{pause: pauseAnew})
			} else {
				r.wait(ctx, step{pause: pauseOffer})
			}
			continue
		}
		if err = r.follow(ctx, k); errors.Is(err, ErrNotEnrolled) {
			r.out(ctx)
		} else if ctx.Err() == nil {
			r.after(ctx, k, err)
		}
	}
}

// out waits for the origin to let this edge in again. What is held grows older.
func (r *Replica) out(ctx context.Context) {
	r.say(notEnrolled)
	r.origin.standing.wait(ctx)
}

// follow follows the log with k until something is wrong.
func (r *Replica) follow(ctx context.Context, k *track) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.mu.Lock()
	r.stop = stop
	doubt := r.doubt
	doubted := doubt != "" && r.shown == k
	r.mu.Unlock()
	if doubted {
		return &scrubError{errors.New(doubt)}
	}
	asked := time.Now()
	err := r.origin.follow(ctx, r.pub.ID, k.seq, func(last uint64) { k.asks(last, asked) }, func(e entry) error { return r.take(k, e) })
	if cause := (*scrubError)(nil); errors.As(context.Cause(ctx), &cause) {
		return cause
	}
	return err
}

// take takes one record of the log. One that makes the program panic is set aside and stops this issuer alone.
func (r *Replica) take(k *track, e entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack(), record: e}
		}
		if err != nil {
			err = fmt.Errorf("sequence %d: %w", e.Seq, err)
			if k.decide(err).doubt {
				r.suspect(k.table, err.Error())
			}
		}
	}()
	added, at := k.added, k.at
	agreed, err := k.take(e, r.pub, &r.newest, time.Now())
	r.applied.Add(k.added - added)
	if err == nil {
		r.pause(pauseAgain).reset()
		r.pause(pauseRefused).reset()
	}
	r.took(k, agreed)
	if e.CaughtUp && e.Seq > k.last && k.at != at {
		r.delay.Update(time.Since(k.wrote).Seconds())
	}
	return err
}

// took publishes where k is now, if it is the one that is shown or has come to be.
func (r *Replica) took(k *track, agreed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offset = k.at.Offset
	if agreed && r.shown != k {
		r.show(k)
	}
	if agreed && r.doubt == "" {
		r.why = ""
	}
	if r.shown == k {
		r.publish(View{Table: k.table, Offset: k.at.Offset, Beat: k.beat, Suspect: r.doubt != ""})
	}
}

// show makes k the table that is published, in the place of the one before.
func (r *Replica) show(k *track) {
	r.shown, r.doubt, r.agreed = k, "", k.beat
	r.scrubs = scrubs{table: k.table, began: time.Now()}
	r.logger.Info("caught up, and the origin's beat agrees", "offset", k.at.Offset, "subjects", k.table.Len(), "from", k.source)
	go debug.FreeOSMemory() // catching up leaves garbage, and the table before lies where the collector does not see how large it is
}

// publish is for who holds mu.
func (r *Replica) publish(v View) {
	news := v.Offset != r.view.Offset || v.Suspect != r.view.Suspect || r.view.Beat.IsZero()
	r.view = v
	r.cfg.Publish(r.policy, v)
	if news {
		moved(r.news)
	}
}

// suspect publishes at once that a table is not to be believed, if it is shown.
func (r *Replica) suspect(table *cache.Table, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown == nil || r.shown.table != table {
		return
	}
	r.doubt, r.why = why, why
	v := r.view
	v.Suspect = true
	r.publish(v)
}

// disown makes whatever is shown suspect.
func (r *Replica) disown(why string) {
	if r.shown != nil { // nobody follows, so nobody changes it
		r.suspect(r.shown.table, why)
	}
}

// update takes over what may change of an issuer while its keys stay.
func (r *Replica) update(pub issuer.Public) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reflect.DeepEqual(r.policy, pub) {
		return
	}
	r.policy = pub
	if r.shown != nil {
		r.publish(r.view)
	}
}

// after does what is to be done after k could not be followed.
func (r *Replica) after(ctx context.Context, k *track, err error) {
	s := k.decide(err)
	r.count(s, err, k)
	if s.back {
		k.seq = k.at.Offset
	}
	if s.anew {
		r.forget(k, s)
	}
	r.wait(ctx, s)
}

// count says loudly what is not as it should be.
func (r *Replica) count(s step, err error, k *track) {
	var panicked *panicError
	if errors.As(err, &panicked) {
		r.setAside(panicked)
	}
	if s.why == "" {
		r.logger.Warn("not following the log; trying again", "err", err)
		return
	}
	r.say(err.Error())
	if s.anew {
		r.mu.Lock()
		r.rebuilt++
		r.mu.Unlock()
		r.cfg.Metrics.GetOrCreateCounter(fmt.Sprintf("scanedge_rebuilds_total{issuer=%q,why=%q}", r.pub.ID, s.why)).Inc()
		r.logger.Error("this table is given up and another one made", "why", s.why, "offset", k.at.Offset, "err", err)
		return
	}
	r.cfg.Metrics.GetOrCreateCounter(fmt.Sprintf("scanedge_refused_records_total{issuer=%q,why=%q}", r.pub.ID, s.why)).Inc()
	r.logger.Error("a record was refused: the replica stops before it until it is gone, and its answers grow stale",
		"why", s.why, "offset", k.at.Offset, "err", err)
}

// say keeps the sentence that explains why the table is not vouched for.
func (r *Replica) say(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
}

// calm is how long a table must have agreed before the next one is made without a long pause.
const calm = 2 * time.Minute

// forget gives k up, and what on disk is of no use either.
func (r *Replica) forget(k *track, s step) {
	r.floor, r.strict = max(r.floor, s.floor), s.strict
	if s.unfloor {
		r.floor = 0
	}
	r.mu.Lock()
	r.next = nil // first, for a table that is being kept is dropped by who keeps it
	if r.shown == k && k.beat.Sub(r.agreed) > calm {
		r.pause(pauseAnew).reset()
	}
	if s.drop {
		r.kept = kept{}
	}
	if r.shown != k {
		go debug.FreeOSMemory() // nobody will show it
	}
	r.mu.Unlock()
	if !s.drop {
		return
	}
	r.drop("the kept table", r.store.DropOwn)
	if k.beat.IsZero() && k.drop != nil {
		r.drop(k.source, k.drop)
	}
}

func (r *Replica) drop(what string, drop func() error) {
	_, done, err := r.folder.use(context.Background())
	if err != nil {
		return // the other process finds out by itself
	}
	defer done()
	if err := drop(); err != nil {
		r.logger.Error("can't drop a table that is of no use; it is tried again at the next start", "what", what, "err", err)
	}
}

func (r *Replica) pause(p *backoffRange) *backoff {
	if r.pauses[p] == nil {
		r.pauses[p] = new(backoff)
	}
	return r.pauses[p]
}

func (r *Replica) wait(ctx context.Context, s step) {
	if s.pause != nil {
		r.pause(s.pause).wait(ctx, s.pause)
	}
}
