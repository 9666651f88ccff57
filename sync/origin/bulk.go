package origin

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/sync/delta"
)

// What pushes hold in memory is bounded, though all pushers come at once. A push of up to smallPush deltas never waits. A larger one
// needs a place of a size before it reads on, and keeps it until it is answered; meanwhile its body is not read, and TCP holds
// the pusher back. A delta takes up to 44 bytes: 24 as it is read, and 20 in the record.
//
//	size     up to deltas   places       memory, with slack
//	small           8,192   any number   1.1 MB each
//	medium         65,536   16           58 MB
//	large       1,000,000   4            176 MB
//
// Besides, each has buffers, and a zstd body its window of up to 8 MiB, while it is read.
//
// Nobody waits in a circle: a push gives its medium place back when it gets a large one, and with that it waits for no more. Nor does
// anybody wait for long: a pusher with a place has to send leastRate on average, and after placeWithin one that got none is told
// to come again.
const (
	smallPush    = 8_192  // deltas
	mediumPush   = 65_536 // deltas
	mediumPlaces = 16
	largePlaces  = 4
	slack        = 64 << 10 / 4 // more deltas than are in one buffer that is read
)

// placeWithin is how long a push may wait for a place: less than a client takes a connection for dead. Tests shorten it.
var placeWithin = 30 * time.Second

var errNoPlace = errors.New("the origin holds as many large pushes as it may")

// places are what an origin has for pushes that are not small.
type places struct {
	medium, large chan struct{}
	waiting       atomic.Int64
}

func newPlaces(set *metrics.Set) *places {
	p := &places{medium: make(chan struct{}, mediumPlaces), large: make(chan struct{}, largePlaces)}
	set.NewGauge("scanedge_pushes_waiting", func() float64 { return float64(p.waiting.Load()) })
	return p
}

// place is that of one push. It begins with none.
type place struct {
	of   *places
	held chan struct{} // medium or large; nil: none
}

// grow makes the place large enough to read on after so many deltas, and returns for how many there may then be room in memory.
func (p *place) grow(ctx context.Context, deltas int) (most int, err error) {
	if deltas > smallPush && p.held == nil {
		err = p.take(ctx, p.of.medium)
	}
	if err == nil && deltas > mediumPush && p.held == p.of.medium {
		err = p.take(ctx, p.of.large)
	}
	switch p.held {
	case nil:
		return smallPush + slack, err
	case p.of.medium:
		return mediumPush + slack, err
	}
	return delta.DefaultLimits.Deltas, err
}

// take waits for another place, and gives the one that p had back for it.
func (p *place) take(ctx context.Context, another chan struct{}) error {
	p.of.waiting.Add(1)
	defer p.of.waiting.Add(-1)
	late := time.NewTimer(placeWithin)
	defer late.Stop()
	select {
	case another <- struct{}{}:
		p.leave()
		p.held = another
		return nil
	case <-late.C:
		return errNoPlace
	case <-ctx.Done():
		return errHungUp
	}
}

// leave gives the place back.
func (p *place) leave() {
	if p.held != nil {
		<-p.held
		p.held = nil
	}
}
