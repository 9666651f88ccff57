// Package day is the launch day: what a fleet is asked on it, and what each answer must be.
//
// The suite speaks to the fleet over HTTP, as its users do, and knows nothing else of it but the rule by which the demo
// population was made. Of every hundred visits 85 ask for a subject that is known, 5 for one that is not, 5 bring something
// that is no code, and 5 are uploads of 20 codes. All along, a few canary subjects are turned at the origin, and each turn is
// timed until the last edge shows it.
//
// What holds:
//   - Visit i, and what its answer must be, follow from (seed, i): see [Script].
//   - Every answer is judged, every line of an upload too. A wrong one is a failure, not a statistic.
//   - An edge that says offset n answers for every push acknowledged up to n: an old status there is wrong, not late.
//   - A run changes only subjects named after itself (day-SEED-…), and takes them away at the end: it can be repeated.
package day

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// Config is a day and the fleet that it is played against.
type Config struct {
	Origin     string // URL of its API
	PushToken  string
	Edges      []load.Edge
	ScannerKey string
	Population Population

	Seed     uint64
	Schedule load.Schedule
	Progress func(now time.Duration, at load.Progress) // called once a second if not nil; must return soon
	Dir      string                                    // folder of the log of seconds; "" for none
}

// Result is what came of a day. Its wrong answers are those of visits and of canaries.
type Result struct {
	*load.Result
	Visible load.Summary // from the beginning of a push until the last edge showed it
	Acked   load.Summary // from its acknowledgement until then
	Reasons []string     // why the result should not be believed; none when it is valid
}

// Play plays the day: canaries on their base, the load with canaries turning, canaries removed. When the canaries can't be set
// no visit is sent, and the result is invalid for that. When ctx is cancelled the day ends early and is invalid too. The error
// is that of an edge whose address makes no sense.
func Play(ctx context.Context, c Config) (*Result, error) {
	origin := scanedge.NewOrigin(c.Origin, c.PushToken)
	push := func(ctx context.Context, issuer string, deltas []scanedge.Delta) (scanedge.Receipt, error) {
		return origin.Push(ctx, issuer, deltas)
	}
	canaries := NewCanaries(c.Seed, c.Population.Issuers, push, c.watchposts())
	r, err := load.NewResult(c.Schedule), error(nil)
	if canaries.Settle(ctx) {
		r, err = c.playLoad(ctx, canaries)
	} else {
		r.Interrupted = ctx.Err() != nil
	}
	canaries.Remove(ctx)
	if err != nil {
		return nil, err
	}
	return conclude(r, canaries), nil
}

// playLoad plays the visits while canaries turn.
func (c Config) playLoad(ctx context.Context, canaries *Canaries) (*load.Result, error) {
	over := make(chan struct{})
	var flying sync.WaitGroup
	flying.Go(func() { canaries.Fly(ctx, over) })
	defer flying.Wait()
	defer close(over)
	script := NewScript(c.Seed, c.Edges, c.Population)
	return load.Run(ctx, load.Plan{
		Edges:    c.Edges,
		Key:      c.ScannerKey,
		Schedule: c.Schedule,
		Visit:    script.Visit,
		Judge:    script.Judge,
		Progress: c.Progress,
		Dir:      c.Dir,
	})
}

func (c Config) watchposts() []Watchpost {
	var posts []Watchpost
	for _, e := range c.Edges {
		posts = append(posts, Watchpost{e.Name, scanedge.NewEdge(e.URL, c.ScannerKey).Scan})
	}
	return posts
}

// conclude joins what visits and canaries have to say.
func conclude(r *load.Result, canaries *Canaries) *Result {
	r.Join(canaries.Wrongs)
	return &Result{
		Result:  r,
		Visible: canaries.Visible.Summary(),
		Acked:   canaries.Acked.Summary(),
		Reasons: slices.Concat(load.Reasons(r), canaries.Reasons()),
	}
}
