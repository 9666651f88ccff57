package load

import (
	"sync"
	"time"
)

// How many connections there are to an edge at most, by kind. All that stay open are there from the start.
const (
	pipes    = 2   // of which each has up to window requests under way
	keptAll  = 128 // over all edges
	keptLess = 8   // to each of very many edges
	fresh    = 32
)

// Connections is how many connections a run to so many edges may have open at once.
func Connections(edges int, kinds []Kind) int {
	n := 0
	for _, k := range kinds {
		n += connections(edges, k)
	}
	return n * edges
}

// connections are those of a kind to one edge.
func connections(edges int, k Kind) int {
	switch k {
	case Pipelined:
		return pipes
	case Kept:
		return max(keptLess, keptAll/edges)
	default:
		return fresh
	}
}

// openLanes starts what plays visits, with its connections, as far as they can be dialled: what can't is tried again with the
// first visit, whose failure it is then.
func (e *engine) openLanes(lanes *sync.WaitGroup) {
	for place := range e.edges {
		for _, k := range e.Kinds {
			for range connections(len(e.edges), k) {
				lanes.Go(e.player(Route{place, k}))
			}
		}
	}
}

func (e *engine) closeLanes() {
	for _, p := range e.edges {
		for _, k := range e.Kinds {
			close(p.lanes[k])
		}
	}
}

// player makes what plays the visits that go to an edge over a kind of connection.
func (e *engine) player(r Route) (play func()) {
	l := lane{engine: e, route: r, edge: e.edges[r.Edge], shard: e.shard()}
	if r.Kind == Pipelined || r.Kind == Kept {
		l.wire, _ = l.dial()
	}
	if r.Kind == Pipelined {
		return (&pipe{lane: l}).play
	}
	return (&keeper{lane: l}).play
}

// lane is what plays visits of one route, and its connection.
type lane struct {
	*engine
	route Route
	edge  *endpoint
	shard *shard

	wire *wire
	last time.Duration // when it was last used
	out  []byte
}

// visits are the numbers of those that are due.
func (l *lane) visits() <-chan uint64 { return l.edge.lanes[l.route.Kind] }

// fill makes visit i in v.
func (l *lane) fill(i uint64, v *Visit) {
	v.Number, v.Route = i, l.route
	l.Visit(i, v)
}

func (l *lane) dial() (*wire, error) {
	l.shard.dialled(l.route.Kind)
	return l.engine.dial(l.edge, l.route.Kind)
}

// keeper plays visits one after the other: over a connection that stays open, or each over one of its own.
type keeper struct {
	lane
	flight flight
	answer Answer
}

func (l *keeper) play() {
	for i := range l.visits() {
		if !l.late() {
			l.playOne(i)
		}
	}
	l.wires.close(l.wire)
}

func (l *keeper) playOne(i uint64) {
	f := &l.flight
	l.fill(i, &f.visit)
	f.sent = l.sending(1)
	err := l.exchange(f, &l.answer)
	l.conclude(l.shard, f, &l.answer, err)
	if err != nil || l.route.Kind != Kept {
		l.drop()
	}
}

// drop ends the connection.
func (l *keeper) drop() {
	l.wires.close(l.wire)
	l.wire = nil
}

// exchange sends the visit and waits for its answer.
func (l *keeper) exchange(f *flight, a *Answer) (err error) {
	if l.wire != nil && l.wire.stale(f.sent, l.last) {
		l.drop()
	}
	if l.wire == nil {
		if l.wire, err = l.dial(); err != nil {
			return err
		}
	}
	l.out = l.edge.request(l.out[:0], &f.visit, l.route.Kind != Kept)
	if _, err := l.wire.Write(l.out); err != nil {
		return err
	}
	if err := l.wire.read(f.sent, a); err != nil {
		return err
	}
	l.last = f.sent
	if l.wire.in.Buffered() > 0 {
		return errUnasked
	}
	return nil
}
