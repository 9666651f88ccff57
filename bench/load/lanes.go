package load

import (
	"fmt"
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
		for k := range Kind(kinds) {
			for range connections(len(e.edges), k) {
				lanes.Go(e.lane(place, k))
			}
		}
	}
}

func (e *engine) closeLanes() {
	for _, p := range e.edges {
		for _, queue := range p.lanes {
			close(queue)
		}
	}
}

// lane makes what plays the visits of an edge that go over a kind of connection.
func (e *engine) lane(place int, k Kind) (play func()) {
	p := e.edges[place]
	if k == Pipelined {
		l := &pipe{engine: e, edge: p, place: place, shard: e.shard()}
		if p.used[k] {
			l.wire, _ = l.dial()
		}
		return l.play
	}
	l := &keeper{engine: e, edge: p, place: place, kind: k, shard: e.shard()}
	if p.used[k] && k == Kept {
		l.wire, _ = l.dial()
	}
	return l.play
}

// keeper plays visits one after the other: over a connection that stays open, or each over one of its own.
type keeper struct {
	*engine
	edge  *endpoint
	place int // of the edge in the plan
	kind  Kind
	shard *shard

	wire   *wire
	last   time.Duration // when it was last used
	flight flight
	answer Answer
	out    []byte
}

func (l *keeper) play() {
	for i := range l.edge.lanes[l.kind] {
		if !l.late() {
			l.playOne(i)
		}
	}
	l.wires.close(l.wire)
}

func (l *keeper) playOne(i uint64) {
	f := &l.flight
	l.fill(i, Route{l.place, l.kind}, &f.visit)
	f.sent = l.sending(1)
	err := l.exchange(f, &l.answer)
	if err != nil {
		err = fmt.Errorf("%s: %w", l.edge.Name, err)
	}
	l.conclude(l.shard, f, &l.answer, err)
	if err != nil || l.kind != Kept {
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
	l.out = l.edge.request(l.out[:0], &f.visit, l.kind != Kept)
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

func (l *keeper) dial() (*wire, error) {
	l.shard.dialled(l.kind)
	return l.engine.dial(l.edge, l.kind)
}
