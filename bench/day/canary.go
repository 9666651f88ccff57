package day

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

const (
	canaryCount = 4
	turnEvery   = 100 * time.Millisecond // at most 10 turns a second
	pollEvery   = time.Millisecond       // between an answer and the next question

	// VisibleWithin is how long an edge has to show a turn.
	VisibleWithin = 5 * time.Second
)

// wheel is what a canary turns through. The first is its base.
var wheel = [...]scanedge.Status{scanedge.Green, scanedge.Yellow, scanedge.Red, scanedge.Void}

// Push brings deltas to the origin: [scanedge.Origin.Push] is one.
type Push func(ctx context.Context, issuer string, deltas []scanedge.Delta) (scanedge.Receipt, error)

// Scan asks one edge: [scanedge.Edge.Scan] is one.
type Scan func(ctx context.Context, code string) (scanedge.Verdict, error)

// Watchpost is an edge as the canaries see it.
type Watchpost struct {
	Name string
	Scan Scan
}

// canary is a subject that belongs to the run.
type canary struct {
	issuer, subject string
	at              int  // place on the wheel
	unsure          bool // an edge may hold an older record: the last turn came to no end
}

func (c *canary) code() string { return c.issuer + ":" + c.subject }

func (c *canary) status() scanedge.Status { return wheel[c.at%len(wheel)] }

// Canaries are turned while the load runs, one after the other, each timed from the push until the last edge shows it. One
// goroutine at a time.
type Canaries struct {
	push  Push
	posts []Watchpost
	all   []*canary

	Visible *load.Timer // from the beginning of a push until every edge shows it
	Acked   *load.Timer // from its acknowledgement; 0 where an edge was first
	load.Wrongs
	reasons []string

	mu     sync.Mutex  // guards recent, which the load's log of seconds takes while canaries fly
	recent *load.Timer // as Visible, since it was taken last
}

// NewCanaries makes the canaries of a seed's run, spread over the issuers. Nothing is pushed yet.
func NewCanaries(seed uint64, issuers []string, push Push, posts []Watchpost) *Canaries {
	c := &Canaries{push: push, posts: posts, Visible: load.NewTimer(), Acked: load.NewTimer(), recent: load.NewTimer()}
	for k := range canaryCount {
		c.all = append(c.all, &canary{
			issuer:  issuers[k%len(issuers)],
			subject: fmt.Sprintf("%s-canary-%d", runName(seed), k),
		})
	}
	return c
}

// next moves on by one status. Until the turn is seen through, the canary is unsure.
func (c *canary) next() turn {
	t := turn{code: c.code(), issuer: c.issuer, from: c.status()}
	if c.unsure {
		t.from = ""
	}
	c.at, c.unsure = c.at+1, true
	t.to = c.status()
	return t
}

// Settle puts every canary on its base and returns when every edge shows it: whatever an earlier run of the same name has left
// behind is gone then. When one does not, Reasons says which, unless ctx was cancelled.
func (c *Canaries) Settle(ctx context.Context) bool {
	within, cancel := context.WithTimeout(ctx, VisibleWithin)
	defer cancel()
	for _, bird := range c.all {
		t := turn{code: bird.code(), issuer: bird.issuer, to: bird.status()}
		receipt, err := c.push(within, bird.issuer, t.deltas(bird.subject))
		t.least = receipt.Offset
		var sightings []sighting
		if err == nil {
			sightings = t.watch(within, c.posts).wait()
		}
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			c.invalid("a canary could not be set: " + err.Error())
			return false
		}
		if !c.conclude(t, receipt.Offset, sightings) {
			return false
		}
	}
	return true
}

// Fly turns a canary every 100 ms until the load is over.
func (c *Canaries) Fly(ctx context.Context, over <-chan struct{}) {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			c.turn(ctx, c.all[n%len(c.all)])
		}
	}
}

// turn moves one canary to its next status and waits until every edge shows it.
func (c *Canaries) turn(ctx context.Context, bird *canary) {
	within, cancel := context.WithTimeout(ctx, VisibleWithin)
	defer cancel()
	t := bird.next()

	began := time.Now()
	watch := t.watch(within, c.posts)
	receipt, err := c.push(within, bird.issuer, t.deltas(bird.subject))
	acked := time.Now()
	if err != nil {
		cancel()
	}
	sightings := watch.wait()
	if ctx.Err() != nil {
		return // interrupted, which the run says by itself
	}
	if err != nil {
		c.invalid("a canary could not be pushed: " + err.Error())
		return
	}
	if c.conclude(t, receipt.Offset, sightings) {
		bird.unsure = false
		last := latest(sightings)
		c.visible(last.Sub(began))
		c.Acked.Record(last.Sub(acked))
	}
}

func (c *Canaries) visible(after time.Duration) {
	c.Visible.Record(after)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent.Record(after)
}

// Recent returns how soon those turns were visible everywhere that were seen through since it was called last. Any goroutine may call it.
func (c *Canaries) Recent() load.Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.recent.Summary()
	c.recent.Reset()
	return s
}

// conclude judges what the edges showed of a turn that the origin has acknowledged, and tells whether all of them showed it.
func (c *Canaries) conclude(t turn, offset uint64, sightings []sighting) (all bool) {
	all = true
	for _, s := range sightings {
		if e := s.wrong(t, offset); e != nil {
			c.AddWrong(*e)
		}
		if !s.seen {
			c.invalid(s.missing(t))
			all = false
		}
	}
	return all
}

// Remove takes the canaries off the fleet again, also after an interrupt. That it can't is a reason unless there is one already,
// which then explains it.
func (c *Canaries) Remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), VisibleWithin)
	defer cancel()
	for _, bird := range c.all {
		if _, err := c.push(ctx, bird.issuer, []scanedge.Delta{{Subject: bird.subject, Remove: true}}); err != nil {
			if len(c.reasons) == 0 {
				c.invalid("the canaries could not be removed: " + err.Error())
			}
			return
		}
	}
}

// Reasons returns why the canaries make the run one not to be believed.
func (c *Canaries) Reasons() []string {
	if len(c.reasons) == 0 && c.Visible.Summary().Count == 0 {
		return []string{"no canary was seen to turn, so nothing is known of how soon a push shows"}
	}
	return c.reasons
}

// maxReasons keeps the list one that a person reads.
const maxReasons = 3

func (c *Canaries) invalid(why string) {
	if len(c.reasons) < maxReasons {
		c.reasons = append(c.reasons, why)
	}
}
