package origin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
)

// maxSources is how many peers are in an offer.
const maxSources = 8

// fleet is what edges reported last: the newest of each, in memory alone. Nothing of it is believed but for what people and clients are
// told, and which edges may be asked for a snapshot: what those send is checked by who asks.
type fleet struct {
	began   time.Time
	metrics *metrics.Set

	mu      sync.Mutex                                 // guards
	edges   map[string]*reported                       // those that have joined, by name
	waiting map[string]map[string]map[*waiter]struct{} // those who wait for an edge to show more of an issuer; see reach.go
	waiters int                                        // how many there are
}

func newFleet(set *metrics.Set) *fleet {
	return &fleet{began: time.Now(), metrics: set, edges: map[string]*reported{}, waiting: map[string]map[string]map[*waiter]struct{}{}}
}

// ageOf names the gauge of an edge.
func ageOf(edge string) string {
	return fmt.Sprintf("scanedge_edge_reported_age_seconds{edge=%q}", edge)
}

// expect makes an edge known that has joined, if it still is one by then. From now on it is silent if it does not report.
func (f *fleet) expect(edge string, still func() bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if still() {
		f.entry(edge)
	}
}

// entry is for who holds mu.
func (f *fleet) entry(edge string) *reported {
	r := f.edges[edge]
	if r == nil {
		r = &reported{since: time.Now()}
		f.edges[edge] = r
		f.metrics.GetOrCreateGauge(ageOf(edge), func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return r.silentFor(time.Now()).Seconds()
		})
	}
	return r
}

// put takes an edge's report, if it is still one by then, and frees who waited for what it says.
func (f *fleet) put(edge string, r access.Report, still func() bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !still() {
		return false
	}
	e := f.entry(edge)
	e.take(r, time.Now())
	for issuer, waiters := range f.waiting[edge] {
		if holds := e.last.Holds; len(holds) > 0 && !slices.Contains(holds, issuer) {
			f.release(edge, issuer, waiters, func(*waiter) bool { return true })
			continue
		}
		if s := e.of(issuer); s != nil {
			f.release(edge, issuer, waiters, func(w *waiter) bool { return w.offset <= s.Offset })
		}
	}
	return true
}

// forget is called when an edge was revoked or replaced, after the registry says so.
func (f *fleet) forget(edge string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.edges, edge)
	f.metrics.UnregisterMetric(ageOf(edge))
	for issuer, waiters := range f.waiting[edge] {
		f.release(edge, issuer, waiters, func(w *waiter) bool { return true })
	}
}

// get returns what an edge reported last, and when; known is false if it has not joined.
func (f *fleet) get(edge string) (r reported, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.edges[edge]; e != nil {
		return *e, true
	}
	return reported{}, false
}

// sources are base URLs of edges that offer a snapshot and are not silent, some of them by chance if there are many.
func (f *fleet) sources(issuer, id string, now time.Time) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var urls []string
	for _, e := range f.edges {
		if o := e.last.Offers; o != nil && o.Snapshots[issuer] == id && e.silentFor(now) <= peerFor {
			urls = append(urls, o.URL)
		}
	}
	rand.Shuffle(len(urls), func(i, j int) { urls[i], urls[j] = urls[j], urls[i] })
	return urls[:min(len(urls), maxSources)]
}

// peerFor is how long an edge is a source that has fallen silent: the origin may have been, too.
const peerFor = 30 * time.Second

// stateOf is the state of an edge.
func (f *fleet) stateOf(e enrol.Edge, now time.Time) (string, reported) {
	r, known := f.get(e.Name)
	switch {
	case !e.Revoked.IsZero():
		return scanedge.EdgeRevoked, reported{}
	case e.Joined.IsZero() || !known:
		return scanedge.EdgeNever, reported{}
	case r.at.IsZero() || r.silentFor(now) > scanedge.Lease:
		return scanedge.EdgeSilent, r
	}
	return scanedge.EdgeLive, r
}

// expect is fleet.expect, for an edge that may have been revoked or replaced since it joined.
func (o *Origin) expect(edge string) {
	o.fleet.expect(edge, func() bool {
		e, known := o.enrolled.registry.Edge(edge)
		return known && e.Revoked.IsZero() && !e.Joined.IsZero()
	})
}

// openFleet expects the edges that have joined, and counts them in the metrics.
func (o *Origin) openFleet() {
	for _, e := range o.enrolled.registry.Edges() {
		o.expect(e.Name)
	}
	for _, state := range []string{scanedge.EdgeLive, scanedge.EdgeSilent, scanedge.EdgeNever} {
		o.cfg.Metrics.NewGauge(fmt.Sprintf("scanedge_edges{state=%q}", state), func() float64 {
			n, now := 0, time.Now()
			for _, e := range o.enrolled.registry.Edges() {
				if is, _ := o.fleet.stateOf(e, now); is == state {
					n++
				}
			}
			return float64(n)
		})
	}
}
