package origin

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/enrol"
)

const (
	maxReachWait = time.Minute // for which edges may be waited for at once
	maxWaiters   = 10_000      // who wait
)

// waiter waits until edges show an issuer's offset. It costs nothing while nothing happens, and once for each of its edges.
type waiter struct {
	issuer string
	offset uint64
	edges  []string // that it asked for

	missing map[string]bool // guarded by the fleet's mu
	done    chan struct{}   // closed when nothing is missing
}

// await returns a waiter for edges; leave is to be called once.
func (f *fleet) await(issuer string, offset uint64, edges []string) (w *waiter, leave func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiters >= maxWaiters {
		return nil, nil, false
	}
	f.waiters++
	w = &waiter{issuer: issuer, offset: offset, edges: edges, missing: map[string]bool{}, done: make(chan struct{})}
	for _, name := range edges {
		if e := f.edges[name]; e != nil {
			if s := e.of(issuer); s != nil && s.Offset >= offset {
				continue
			}
		}
		w.missing[name] = true
		f.waitingFor(name, issuer)[w] = struct{}{}
	}
	if len(w.missing) == 0 {
		close(w.done)
	}
	return w, func() { f.leave(w) }, true
}

// waitingFor is for who holds mu.
func (f *fleet) waitingFor(edge, issuer string) map[*waiter]struct{} {
	if f.waiting[edge] == nil {
		f.waiting[edge] = map[string]map[*waiter]struct{}{}
	}
	if f.waiting[edge][issuer] == nil {
		f.waiting[edge][issuer] = map[*waiter]struct{}{}
	}
	return f.waiting[edge][issuer]
}

// release frees those of an edge's waiters who got what they waited for. It is for who holds mu.
func (f *fleet) release(edge, issuer string, waiters map[*waiter]struct{}, got func(*waiter) bool) {
	for w := range waiters {
		if !got(w) {
			continue
		}
		f.remove(w, edge)
		if delete(w.missing, edge); len(w.missing) == 0 {
			close(w.done)
		}
	}
}

// remove is for who holds mu.
func (f *fleet) remove(w *waiter, edge string) {
	delete(f.waiting[edge][w.issuer], w)
	if len(f.waiting[edge][w.issuer]) == 0 {
		delete(f.waiting[edge], w.issuer)
	}
	if len(f.waiting[edge]) == 0 {
		delete(f.waiting, edge)
	}
}

func (f *fleet) leave(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiters--
	for edge := range w.missing {
		f.remove(w, edge)
	}
}

// answer is what became of a wait: who is still an edge and shows the offset, and who does not.
func (f *fleet) answer(w *waiter) scanedge.Reached {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := scanedge.Reached{Issuer: w.issuer, Offset: w.offset, Reached: []string{}, Missing: []string{}}
	for _, name := range w.edges {
		switch _, known := f.edges[name]; {
		case w.missing[name]:
			a.Missing = append(a.Missing, name)
		case known:
			a.Reached = append(a.Reached, name)
		}
	}
	return a
}

// serveReached answers GET /v1/issuers/{issuer}/offsets/{offset}?wait=5s&edges=all when the edges that hold the issuer show the offset.
func (o *Origin) serveReached(rw http.ResponseWriter, req *http.Request, w *writer, _ caller) {
	offset, wait, edges, problem := o.askedToReach(req, w)
	if problem != nil {
		problem.Write(rw)
		return
	}
	waiter, leave, ok := o.fleet.await(w.secret.ID, offset, edges)
	if !ok {
		scanedge.NewProblem(scanedge.Busy, fmt.Sprintf("%d wait for edges already; ask again", maxWaiters)).Write(rw)
		return
	}
	defer leave()
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-waiter.done:
	case <-over.C:
	case <-req.Context().Done():
		return
	case <-o.streams.Done():
		scanedge.NewProblem(scanedge.NotReady, errStopping.Error()).Write(rw)
		return
	}
	a := o.fleet.answer(waiter)
	if len(a.Missing) == 0 {
		writeJSON(rw, a)
		return
	}
	p := scanedge.NewProblem(scanedge.NotReached, fmt.Sprintf("after %v offset %d of %s is not visible on %s", wait, offset, w.secret.ID,
		strings.Join(a.Missing, ", ")))
	p.Reached, p.Missing = a.Reached, a.Missing
	p.Write(rw)
}

// askedToReach reads a request to wait for edges.
func (o *Origin) askedToReach(req *http.Request, w *writer) (offset uint64, wait time.Duration, edges []string, problem *scanedge.Problem) {
	bad := func(format string, a ...any) *scanedge.Problem {
		return scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf(format, a...))
	}
	offset, err := strconv.ParseUint(req.PathValue("offset"), 10, 64)
	if err != nil {
		return 0, 0, nil, bad("offset %q; give a number, such as that of a push's receipt", req.PathValue("offset"))
	}
	query := req.URL.Query()
	if text := query.Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxReachWait {
			return 0, 0, nil, bad("wait=%s; give 0s to %v, such as 5s", text, maxReachWait)
		}
	}
	if at := w.offset.Load(); offset > at {
		return 0, 0, nil, scanedge.NewProblem(scanedge.OffsetAhead, fmt.Sprintf("the log of %s ends at %d, before %d", w.secret.ID, at, offset))
	}
	edges, problem = o.edgesOf(w.secret.ID, query.Get("edges"))
	return offset, wait, edges, problem
}

// edgesOf returns the edges that a request asks for: some by name, or all that hold the issuer and have joined.
func (o *Origin) edgesOf(issuer, names string) (edges []string, problem *scanedge.Problem) {
	if names == "" || names == "all" {
		for _, e := range o.enrolled.registry.Edges() {
			if r, joined := o.fleet.get(e.Name); joined && e.Revoked.IsZero() && r.holds(e, issuer) {
				edges = append(edges, e.Name)
			}
		}
		return edges, nil
	}
	edges = strings.Split(names, ",")
	slices.Sort(edges)
	edges = slices.Compact(edges)
	for _, name := range edges {
		e, known := o.enrolled.registry.Edge(name)
		if !known || !e.Revoked.IsZero() {
			return nil, edgeProblem(fmt.Errorf("%w, %q, or it was revoked", enrol.ErrUnknown, name))
		}
		if r, _ := o.fleet.get(name); !r.holds(e, issuer) {
			return nil, scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("edge %q does not hold %s", name, issuer))
		}
	}
	return edges, nil
}
