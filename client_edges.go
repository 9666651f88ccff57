package scanedge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Edges asks several edges of one fleet as if they were one. It is safe for concurrent use.
//
// A scan goes to one edge. If that can't be reached or can't answer now, the next one is asked at once. If it has not answered after
// HedgeAfter, the next one is asked as well: the first good answer counts, and the other request is given up. No scan asks more than two.
// Of all scans, at most one in ten asks a second edge because the first was slow or had too much to do, so a fleet that is overloaded gets
// a tenth more to do and not twice as much (Dean and Barroso, The Tail at Scale, CACM 2013). A limit of rate holds at the other edges
// too, and is not tried there. An edge that answered in the place of another is asked first for half a minute.
//
// The edges share what they have seen: none answers from before what another has shown. See [Edge].
type Edges struct {
	// HedgeAfter is how long an edge may take before the next one is asked too: some 95th percentile of what it usually takes. 0 is 50 ms,
	// less is never. A batch may take a millisecond more for every 10 codes. It is to be set before the first scan.
	HedgeAfter time.Duration

	// Retry says how long a scan goes on while none of the edges answers. It is to be set before the first scan.
	Retry Retry

	edges []*Edge
	spare spare

	mu     sync.Mutex // guards
	lead   int        // the edge that is asked first
	leadTo time.Time  // until then; from then on it is the nearest again
}

const (
	defaultHedge = 50 * time.Millisecond
	leadFor      = 30 * time.Second
)

// NewEdges returns a client of these edges, one at least, the nearest first. It scans as they do, but for their Retry.
func NewEdges(edges ...*Edge) *Edges {
	if len(edges) == 0 {
		panic("scanedge: NewEdges needs an edge")
	}
	e := &Edges{spare: spare{tenths: spareMost}}
	for _, one := range edges {
		e.edges = append(e.edges, &Edge{server: one.server, seen: edges[0].seen})
	}
	return e
}

// Scan asks for the verdict on one code, as [Edge.Scan] does.
func (e *Edges) Scan(ctx context.Context, code string) (Verdict, error) {
	got, err := askEdges(ctx, e, 1, func(ctx context.Context, one *Edge) (Verdict, error) { return one.Scan(ctx, code) })
	return got.what, err
}

// ScanMany asks for any number of codes, as [Edge.ScanMany] does. Codes that an edge can't judge now, because its table is behind, too old
// or not there yet, are asked for once more at the next one.
func (e *Edges) ScanMany(ctx context.Context, codes []string) ([]Answer, error) {
	answers := make([]Answer, len(codes))
	for b := range e.edges[0].seen.batches(codes, answers) {
		got, err := askEdges(ctx, e, len(b.codes), func(ctx context.Context, one *Edge) ([]Answer, error) { return one.ask(ctx, b) })
		if err != nil {
			return nil, err
		}
		e.mend(ctx, b, got)
		b.put(got.what, answers)
	}
	return answers, nil
}

// mend asks the next edge for the codes of a batch that one could not judge now. That it can't either changes nothing.
func (e *Edges) mend(ctx context.Context, b batch, got answered[[]Answer]) {
	next := (got.by + 1) % len(e.edges)
	if next == got.by {
		return
	}
	var left batch
	for i, a := range got.what {
		if a.Error.passes() {
			left.add(b.codes[i], i, e.edges[0].seen) // those of one batch fit another
		}
	}
	if len(left.codes) == 0 {
		return
	}
	if better, err := e.edges[next].ask(ctx, left); err == nil {
		left.put(better, got.what)
	}
}

// passes reports whether it is an edge's own state, of now, that keeps it from judging a code.
func (t ProblemType) passes() bool { return t == Behind || t == TooStale || t == NotReady }

// answered is what came of asking an edge.
type answered[T any] struct {
	by   int
	what T
	err  error
}

// askEdges asks for n codes, again and again as e.Retry has it.
func askEdges[T any](ctx context.Context, e *Edges, n int, ask func(context.Context, *Edge) (T, error)) (got answered[T], err error) {
	err = e.Retry.keepOn(ctx, func() error {
		got = race(ctx, e, e.hedgeAfter(ctx, n), ask)
		return got.err
	})
	return got, err
}

// race asks one edge, and a second one if the first fails, or is not there after a while. The first good answer counts.
func race[T any](ctx context.Context, e *Edges, after time.Duration, ask func(context.Context, *Edge) (T, error)) answered[T] {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // gives up whoever has not answered by then
	answers := make(chan answered[T], 2)
	next, asked, waiting := e.first(), 0, 0
	start := func() {
		go func(i int) {
			what, err := ask(ctx, e.edges[i])
			answers <- answered[T]{i, what, err}
		}(next)
		next, asked, waiting = (next+1)%len(e.edges), asked+1, waiting+1
	}
	e.spare.earn()
	start()
	late := time.NewTimer(after)
	defer late.Stop()
	another := func() bool { return asked < min(2, len(e.edges)) }
	for failed := (answered[T]{}); ; {
		select {
		case <-late.C:
			if another() && e.spare.spend() {
				start()
			}
		case a := <-answers:
			waiting--
			if judged(a.err) {
				e.led(a.by)
				return a
			}
			failed.err = both(failed.err, a.err)
			if another() && elsewhere(a.err) && (!overloaded(a.err) || e.spare.spend()) {
				start()
			}
			if waiting == 0 {
				return failed
			}
		}
	}
}

// judged reports whether an edge said something of the code, also that it is none.
func judged(err error) bool {
	p := (*Problem)(nil)
	if err == nil || !errors.As(err, &p) {
		return err == nil
	}
	switch p.Type {
	case MalformedCode, UnknownSubject, IssuerNotHeld, PlainForbidden, ForgedCode, CodeExpired, NotYetValid, ClockAhead:
		return true
	}
	return false
}

// elsewhere reports whether what failed at one edge may well go at another.
func elsewhere(err error) bool {
	away, p := (*awayError)(nil), (*Problem)(nil)
	return errors.As(err, &away) && !(errors.As(err, &p) && (p.Type == TooFast || p.Type == LockedOut))
}

func overloaded(err error) bool {
	p := (*Problem)(nil)
	return errors.As(err, &p) && p.Type == Overloaded
}

// both is the error of two edges, or of one. It passes as soon as one of theirs says that it does.
func both(first, second error) error {
	if first == nil {
		return second
	}
	err := fmt.Errorf("%w; then %w", first, second)
	one, other := (*awayError)(nil), (*awayError)(nil)
	switch a, b := errors.As(first, &one), errors.As(second, &other); {
	case a && b:
		return &awayError{err, min(one.after, other.after)}
	case b:
		return &awayError{err, other.after}
	}
	return err
}

// hedgeAfter is when a second edge is asked for n codes. Who has little time left does after half of it.
func (e *Edges) hedgeAfter(ctx context.Context, n int) time.Duration {
	const never = 24 * time.Hour
	after := e.HedgeAfter + time.Duration(n/10)*time.Millisecond
	switch {
	case e.HedgeAfter < 0:
		return never
	case e.HedgeAfter == 0:
		after += defaultHedge
	}
	if end, ok := ctx.Deadline(); ok {
		after = min(after, time.Until(end)/2)
	}
	return after
}

// first is the edge to ask first.
func (e *Edges) first() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().After(e.leadTo) {
		e.lead = 0
	}
	return e.lead
}

// led makes the edge that answered the one to ask first.
func (e *Edges) led(by int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lead != by {
		e.lead, e.leadTo = by, time.Now().Add(leadFor)
	}
}

// spare is what may be asked of edges beyond one request a scan, in tenths of a request. A scan adds one tenth, up to ten requests. It is
// safe for concurrent use.
type spare struct {
	mu     sync.Mutex // guards
	tenths int
}

const spareMost = 100

func (s *spare) earn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenths = min(s.tenths+1, spareMost)
}

func (s *spare) spend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenths < 10 {
		return false
	}
	s.tenths -= 10
	return true
}
