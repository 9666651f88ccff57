// Package day is the launch day: what a fleet is asked on it, and what each answer must be.
//
// The suite speaks to the fleet over HTTP, as its users do, and knows nothing else of it but the rule by which the demo
// population was made, and its code keys. What visits ask, over what connections, and how busy the day is at which time, is a [Scenario]'s; without one,
// of every hundred visits 85 ask for a subject that is known, 5 for one that is not, 5 bring something that is no code, and 5 are
// uploads of 20 codes. All along, a few canary subjects are turned at the origin, and each turn is timed until the last edge shows it.
//
//   - curve.go, arrivals.go: [Curve] and [Arrivals], when visits come
//   - scenario.go, scenarios: [Scenario] and its files
//   - script.go, visit.go, mix.go, population.go, malformed.go: [Script], what visit i asks
//   - want.go, judge.go, said.go: what its answer must be
//   - subjects.go: [Subjects], registered and changed while the run goes on, and trips
//   - canary.go, turn.go: [Canaries]
//   - counters.go, servers.go: what the edges count themselves, and what the fleet's processes need
//
// What holds:
//   - Visit i, how it goes, and what its answer must be, follow from (seed, i): see [Script]. Rolling codes are of the time when they are made.
//   - Every answer is judged, every line of an upload too. A wrong one is a failure, not a statistic.
//   - An edge that says offset n answers for every push acknowledged up to n: an old status there is wrong, not late.
//   - An answer that is not marked is no older than an edge's lease, by the age that it says itself.
//   - A subject whose status changes may be shown newer than its answer's offset, never older; and an answer that is not marked is
//     from no earlier than what was acknowledged ten seconds before: an edge's lease, and the longest that an answer takes.
//   - What an edge's metrics count of scans is what the run has seen of it, where its admin listener is known.
//   - A run changes only subjects named after itself (day-SEED-…), and takes them away at the end: it can be repeated.
package day

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// Config is a day and the fleet that it is played against.
type Config struct {
	Origin      string         // URL of its API
	Roots       *x509.CertPool // by whom an origin and edges at https addresses are verified; nil: by whom this machine believes
	PushToken   string
	Edges       []load.Edge
	Processes   []Process // of the fleet, as far as their admin listeners are known
	ScannerKey  string
	ScannerKeys []string // those that visits carry by turns; none: ScannerKey alone
	Population  Population

	Seed     uint64
	Schedule load.Schedule
	Scenario *Scenario                                 // nil: the simple mix
	CodeKeys CodeKeys                                  // of the population's issuers; a scenario needs them
	Visits   uint64                                    // of the scenario's whole day, of which an upload's codes are one each
	First    uint64                                    // which request of that day is the schedule's first
	Metrics  Metrics                                   // how Processes are looked at; nil: not at all
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

// Play plays the day: the run's own subjects and canaries on their base, the load while they change, all of them removed. When the canaries can't be set
// no visit is sent, and the result is invalid for that. When ctx is cancelled the day ends early and is invalid too. The error
// is that of an edge whose address makes no sense or is missing, or of an issuer without a code key.
func Play(ctx context.Context, c Config) (*Result, error) {
	origin := scanedge.NewOrigin(c.Origin, c.PushToken)
	if c.Roots != nil {
		origin.TrustCA(c.Roots)
	}
	push := func(ctx context.Context, issuer string, deltas []scanedge.Delta) (scanedge.Receipt, error) {
		return origin.Push(ctx, issuer, deltas)
	}
	counters := newCounters(c.Edges, c.Processes, c.Metrics)
	posts := c.watchposts(counters)
	canaries := NewCanaries(c.Seed, c.Population.Issuers, push, posts)
	script, err := c.script(push)
	if err != nil {
		return nil, err
	}
	counters.begin(ctx)
	own, r := script.own(), load.NewResult(c.Schedule)
	if own.Settle(ctx, posts) && canaries.Settle(ctx) {
		r, err = c.playLoad(ctx, script, canaries, counters)
	} else {
		r.Interrupted = ctx.Err() != nil
	}
	counted := counters.rule(ctx)
	canaries.Remove(ctx)
	own.Remove(ctx)
	if err != nil {
		return nil, err
	}
	return conclude(r, canaries, own, counted), nil
}

// Kinds are the kinds of connections that visits go over.
func (c Config) Kinds() (kinds []load.Kind) {
	if c.Scenario == nil {
		return []load.Kind{load.Kept}
	}
	for k, share := range c.Scenario.Connections {
		if share > 0 {
			kinds = append(kinds, load.Kind(k))
		}
	}
	return kinds
}

// script is what the visits are.
func (c Config) script(push Push) (*Script, error) {
	s := NewScript(c.Seed, c.Edges, c.Population)
	if c.Scenario == nil {
		return s, nil
	}
	if err := c.checkTLS(); err != nil {
		return nil, err
	}
	own := NewSubjects(c.Seed, c.Scenario, c.Population, c.Schedule.Over(), push)
	mix, err := newMix(c.Scenario, c.Visits, c.Population.Issuers, c.CodeKeys, own, c.Schedule.Due)
	s.mix, s.first = mix, c.First
	return s, err
}

// checkTLS wants an address for TLS of every edge where visits come over it.
func (c Config) checkTLS() error {
	share := c.Scenario.Connections[load.NewTLS]
	for _, e := range c.Edges {
		if share > 0 && e.TLS == "" {
			return fmt.Errorf("edge %s has no address for TLS, over which %v %% of the scenario's requests go: give it one, or use a scenario "+
				"whose connections have no %v", e.Name, share, load.NewTLS)
		}
	}
	return nil
}

// sources is how many addresses load comes from.
func (c Config) sources() int {
	if c.Scenario == nil {
		return 0
	}
	return c.Scenario.Sources
}

// playLoad plays the visits while canaries turn, and subjects are registered and changed.
func (c Config) playLoad(ctx context.Context, script *Script, canaries *Canaries, counters *counters) (*load.Result, error) {
	servers := newServers(c.Processes, c.Metrics)
	over := make(chan struct{})
	var flying sync.WaitGroup
	flying.Go(func() { canaries.Fly(ctx, over) })
	flying.Go(func() { script.own().Push(ctx, over) })
	flying.Go(func() { servers.watch(ctx, over) })
	defer flying.Wait()
	defer close(over)
	return load.Run(ctx, load.Plan{
		Edges:    c.Edges,
		Roots:    c.Roots,
		Key:      c.ScannerKey,
		Schedule: c.Schedule,
		Ops:      operationNames[:],
		Kinds:    c.Kinds(),
		Sources:  c.sources(),
		Route:    script.Route,
		Visit:    counters.visits(c.keyed(script.Visit)),
		Judge:    counters.judged(script.Judge),
		Each:     func(s *load.Second) { s.Visible, s.Servers = canaries.Recent(), servers.latest() },
		Progress: c.Progress,
		Dir:      c.Dir,
	})
}

// keyed lets visits carry scanner keys by turns, as many gates would.
func (c Config) keyed(visit func(i uint64, v *load.Visit)) func(i uint64, v *load.Visit) {
	if len(c.ScannerKeys) == 0 {
		return visit
	}
	return func(i uint64, v *load.Visit) {
		if visit(i, v); v.Key == "" {
			v.Key = keyOf(c.Seed, i, c.ScannerKeys)
		}
	}
}

// keyOf is the key that visit i carries.
func keyOf(seed, i uint64, keys []string) string {
	return keys[hash(seed, i, keyThrow)%uint64(len(keys))]
}

// keyThrow sets the choice of a key apart from what else is made of the same two numbers.
const keyThrow = 1 << 32

func (c Config) watchposts(counters *counters) []Watchpost {
	var posts []Watchpost
	for k, e := range c.Edges {
		posts = append(posts, Watchpost{e.Name, counters.scan(k, scanedge.NewEdge(e.URL, c.ScannerKey).Scan)})
	}
	return posts
}

// conclude joins what visits and canaries have to say, and the edges' own counters.
func conclude(r *load.Result, canaries *Canaries, own *Subjects, counted load.RuleResult) *Result {
	reasons := slices.Concat(load.Reasons(r), canaries.Reasons(), own.Reasons())
	if r.Accounts.Sent > 0 {
		r.Rules = append(r.Rules, counted)
		if counted.Broken != "" {
			reasons = append(reasons, counted.Broken)
		}
	}
	r.Join(canaries.Wrongs)
	return &Result{
		Result:  r,
		Visible: canaries.Visible.Summary(),
		Acked:   canaries.Acked.Summary(),
		Reasons: reasons,
	}
}
