// Package load plays visits against edges on an open schedule and accounts for every one of them.
//
// A closed loop asks the next question when the last was answered, so a system that stalls is asked less and looks fine.
// Here visit i is due at a time that only the [Schedule] knows, and the latency of its answer counts from there, however late
// it was sent.
//
// # Pieces
//
//   - load.go: [Plan], [Run]; visit.go: what is sent and what comes back; schedule.go: when
//   - dispatch.go: hands numbers of visits to connections when they are due
//   - lanes.go, pipe.go: connections that play them; wire.go: one connection, what goes over it, and its end
//   - shard.go: what became of visits, counted where it is known; collect.go, seconds.go: by the second
//   - result.go, timer.go, validity.go: what came of the run, and whether it may be believed; bursts.go, little.go, clock.go,
//     machine_linux.go: what that is judged by; samples.go: some of the visits, for vegeta's own tools
//
// # What holds of every run
//
//   - A visit is known by its number from the schedule to the judgement: what it sends, and what must come back, follows from it.
//   - planned = sent + unsent and sent = the sum of the outcomes, each of them counted at another place: by the dispatcher and
//     who finds it too late, by who writes to a connection, by who judges. [Accounts.Check] compares.
//   - Every answer is judged, where it is read. Memory does not grow with the number of visits.
//   - What was late is made up for slowly: a generator that stood still does not send all of it at once.
//   - A result that should not be believed says why ([Reasons]).
//
// # Why not vegeta's attacker
//
// vegeta's tools read what is written (samples.bin). Its attacker is not used: it makes a
// net/http request for each visit, gives each a goroutine's wait on a channel twice, starts its latency when a worker picks a
// visit up, and can't pipeline. "scanedge bench self" measures both side by side.
package load

import (
	"context"
	"crypto/x509"
	"sync"
	"sync/atomic"
	"time"
)

// Plan is what a run plays.
type Plan struct {
	Edges    []Edge
	Roots    *x509.CertPool // verify edges over TLS
	Key      string         // the scanner key that requests carry which don't say another
	Schedule Schedule       // at least one visit
	Ops      []string       // names of operations, by Visit.Op; nil: one without a name
	Kinds    []Kind         // that Route may choose: their connections are dialled before the start; nil: Kept
	Sources  int            // loopback addresses (127.1.0.1 and on) from which connections come; 0: the system's choice

	Route    func(i uint64) Route                 // where visit i goes; pure, cheap, called from one goroutine
	Visit    func(i uint64, v *Visit)             // fills in the rest of v, whose Number and Route are set; from many goroutines
	Judge    func(v *Visit, a *Answer) Judgement  // what the answer is worth; from many goroutines
	Each     func(s *Second)                      // may add to a second before it is logged; nil: nothing
	Progress func(now time.Duration, at Progress) // called once a second if not nil; must return soon
	Dir      string                               // folder in which [SecondsFile] grows as the run goes; "" for none
}

// Run plays the plan until every visit has its outcome and returns what came of it. When ctx is cancelled no further visit is
// sent; those on their way are waited for, and the result says that it was interrupted. The error is that of an edge whose
// address makes no sense, or of a folder that takes no log.
func Run(ctx context.Context, p Plan) (*Result, error) {
	e, err := newEngine(p)
	if err != nil {
		return nil, err
	}
	c, err := newCollector(e)
	if err != nil {
		return nil, err
	}
	var lanes, watch sync.WaitGroup
	e.openLanes(&lanes)
	over := make(chan struct{})
	e.begin()
	c.begin()
	watch.Go(func() { every(AnswerWithin/10, over, e.hangUp) })
	watch.Go(func() { every(time.Second, over, c.tick) })
	watch.Go(func() { c.little.run(e, over) })
	stop := context.AfterFunc(ctx, func() { e.over.Store(true) })
	defer stop()
	e.dispatch(ctx)
	e.closeLanes()
	lanes.Wait()
	close(over)
	watch.Wait()
	return c.end(ctx.Err() != nil), nil
}

// engine is a run under way.
type engine struct {
	Plan
	edges []*endpoint
	wires wires

	start  time.Time
	bursts bursts
	sent   atomic.Uint64 // visits written to a connection, or that could not be for want of one
	done   atomic.Uint64 // of these, that have an outcome
	unsent atomic.Uint64 // visits that were given up before
	over   atomic.Bool   // nothing more is to be sent
	shards []*shard
	next   atomic.Uint64 // gives lanes their shard
}

// shardCount is how many places visits are counted at. Two goroutines that meet at one wait for each other, for some 200 ns.
const shardCount = 4

func newEngine(p Plan) (*engine, error) {
	if p.Ops == nil {
		p.Ops = []string{""}
	}
	if p.Kinds == nil {
		p.Kinds = []Kind{Kept}
	}
	e := &engine{Plan: p}
	for range shardCount {
		e.shards = append(e.shards, newShard(len(p.Ops), sampleEvery(p.Schedule.Visits())))
	}
	for _, edge := range p.Edges {
		point, err := newEndpoint(edge, &e.Plan)
		if err != nil {
			return nil, err
		}
		e.edges = append(e.edges, point)
	}
	return e, nil
}

// begin starts the clock.
func (e *engine) begin() {
	e.start = time.Now()
	e.bursts.schedule = e.Schedule
}

// now is how long the run has gone on.
func (e *engine) now() time.Duration { return time.Since(e.start) }

// shard returns a place to count at, the next one each time.
func (e *engine) shard() *shard { return e.shards[e.next.Add(1)%shardCount] }

// every does something again and again, until the run is over.
func every(pause time.Duration, over <-chan struct{}, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			do()
		}
	}
}

// late tells whether a visit that is about to be sent should not be any more, and counts it then.
func (e *engine) late() bool {
	if !e.over.Load() && e.now() <= e.Schedule.Over()+Grace {
		return false
	}
	e.unsent.Add(1)
	return true
}

// sending counts visits that are sent now, and returns when that is.
func (e *engine) sending(n uint64) time.Duration {
	now := e.now()
	e.sent.Add(n)
	e.bursts.add(now, n)
	return now
}
