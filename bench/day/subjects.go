package day

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

const (
	tickEvery   = 200 * time.Millisecond // between two pushes of an issuer's subjects
	changing    = 64                     // subjects of an issuer whose status changes
	removeBatch = 1000                   // subjects of a push that takes them away: fewer than need an approval

	// shownWithin is how old what an edge says may be without a mark: its lease, the time that an answer may take, and some more,
	// since who judges does not know when it was made.
	shownWithin = lease + load.AnswerWithin + 2*time.Second
)

// Subjects are those that a run pushes itself, all named after it: registered while it goes on, changed all along, and the carriages and
// rows of trips. They follow from the seed; which of them an edge must show is known from the offsets and times at which the origin
// acknowledged them. One goroutine pushes, any number asks.
type Subjects struct {
	seed    uint64
	run     string // how their names begin
	issuers []string
	push    Push
	grows   uint64 // subjects that are registered over the run, over all issuers
	changes uint64 // of all subjects, over the run, of each issuer
	ticks   uint64 // pushes of each issuer
	marks   [][]mark
	acked   []atomic.Uint64 // how many of an issuer's marks are set
	owed    []atomic.Uint64 // the offset that an issuer's unmarked answers must have reached
	why     string          // the run is not to be believed
}

// mark is when a tick was acknowledged, and where.
type mark struct {
	offset uint64
	at     time.Time
}

// NewSubjects plans those of a scenario's run over a population in so much time. Nothing is pushed yet.
func NewSubjects(seed uint64, s *Scenario, p Population, over time.Duration, push Push) *Subjects {
	n := len(p.Issuers)
	o := &Subjects{seed: seed, run: runName(seed), issuers: p.Issuers, push: push, ticks: max(1, uint64(over/tickEvery)),
		grows: uint64(float64(p.Subjects)*s.Growth/100 + 0.999), changes: uint64(s.Changes * over.Seconds() / float64(n)),
		acked: make([]atomic.Uint64, n), owed: make([]atomic.Uint64, n)}
	for range p.Issuers {
		o.marks = append(o.marks, make([]mark, o.ticks))
	}
	return o
}

// Settle pushes the subjects that are there from the start and tells whether every edge shows them.
func (o *Subjects) Settle(ctx context.Context, posts []Watchpost) bool {
	if o == nil {
		return true
	}
	o.why = o.settleAll(ctx, posts)
	return o.why == ""
}

func (o *Subjects) settleAll(ctx context.Context, posts []Watchpost) (why string) {
	within, cancel := context.WithTimeout(ctx, VisibleWithin)
	defer cancel()
	for k, issuer := range o.issuers {
		deltas := o.standing(k)
		receipt, err := o.push(within, issuer, deltas)
		if err != nil {
			return "the run's own subjects could not be set: " + err.Error()
		}
		t := turn{code: issuer + ":" + deltas[0].Subject, issuer: issuer, to: deltas[0].Status, least: receipt.Offset}
		for _, s := range t.watch(within, posts).wait() {
			if !s.seen {
				return s.missing(t)
			}
		}
	}
	return ""
}

// standing are an issuer's subjects that are there from the start.
func (o *Subjects) standing(k int) (deltas []scanedge.Delta) {
	for j := range uint64(changing) {
		deltas = append(deltas, scanedge.Delta{Subject: o.changingName(j), Status: wheel[0]})
	}
	for vehicle := range uint64(vehicles) {
		for place := range uint64(places) {
			deltas = append(deltas, scanedge.Delta{Subject: o.placeName(vehicle, place), Status: o.placeStatus(k, vehicle, place)})
		}
	}
	return deltas
}

// Push pushes what is due, a tick after another, until the load is over or a push fails.
func (o *Subjects) Push(ctx context.Context, over <-chan struct{}) {
	if o == nil {
		return
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for b := range o.ticks {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for k, issuer := range o.issuers {
			if err := o.pushTick(ctx, k, issuer, b); err != nil {
				if ctx.Err() == nil {
					o.why = "registrations and changes could not be pushed: " + err.Error()
				}
				return
			}
		}
	}
}

func (o *Subjects) pushTick(ctx context.Context, k int, issuer string, b uint64) error {
	deltas, m := o.due(k, b), mark{}
	if len(deltas) > 0 {
		within, cancel := context.WithTimeout(ctx, VisibleWithin)
		receipt, err := o.push(within, issuer, deltas)
		cancel()
		if err != nil {
			return err
		}
		m.offset = receipt.Offset
	} else if b > 0 {
		m.offset = o.marks[k][b-1].offset
	}
	m.at = time.Now()
	o.marks[k][b] = m
	o.acked[k].Store(b + 1)
	for ; b > 0; b-- {
		if m.at.Sub(o.marks[k][b-1].at) > shownWithin {
			o.owed[k].Store(o.marks[k][b-1].offset)
			break
		}
	}
	return nil
}

// due is what an issuer's tick pushes. Of two changes of a subject in it the later is the one that counts.
func (o *Subjects) due(k int, b uint64) (deltas []scanedge.Delta) {
	n := uint64(len(o.issuers))
	for r := o.registeredBy(b); r < o.registeredBy(b+1); r++ {
		if r%n == uint64(k) {
			deltas = append(deltas, scanedge.Delta{Subject: o.registeredName(r), Status: o.registeredStatus(r)})
		}
	}
	for c := o.changedBy(b); c < o.changedBy(b+1); c++ {
		deltas = append(deltas, scanedge.Delta{Subject: o.changingName(c % changing), Status: wheel[(c/changing+1)%uint64(len(wheel))]})
	}
	return deltas
}

// registeredBy is how many subjects are registered before a tick, changedBy how many changes an issuer has seen.
func (o *Subjects) registeredBy(tick uint64) uint64 { return scale(tick, o.grows, o.ticks) }

func (o *Subjects) changedBy(tick uint64) uint64 { return scale(tick, o.changes, o.ticks) }

func (o *Subjects) registeredName(r uint64) string { return string(o.appendName(nil, 'r', r)) }

func (o *Subjects) changingName(j uint64) string { return string(o.appendName(nil, 'c', j)) }

// appendName appends the name of a subject of a kind.
func (o *Subjects) appendName(b []byte, kind byte, number uint64) []byte {
	return strconv.AppendUint(append(append(b, o.run...), '-', kind), number, 10)
}

func (o *Subjects) registeredStatus(r uint64) scanedge.Status {
	return statusByHash(hash(o.seed, 1, r))
}

// statusByHash is a status as people have them: most are green.
func statusByHash(h uint64) scanedge.Status {
	if h%16 != 0 {
		return scanedge.Green
	}
	return wheel[h/16%uint64(len(wheel))]
}

// registered asks for a subject that was to be registered a second before a time of the run, if there is one.
func (o *Subjects) registered(v *visit, due time.Duration) bool {
	n := uint64(0)
	if due > time.Second {
		n = o.registeredBy(min(o.ticks, uint64((due-time.Second)/tickEvery)))
	}
	if n == 0 {
		return false
	}
	r := v.below(n)
	issuer := o.issuers[r%uint64(len(o.issuers))]
	v.code(issuer, ":")
	v.text = o.appendName(v.text, 'r', r)
	v.expect(want{issuer: issuer, status: o.registeredStatus(r), moves: registering, number: r})
	return true
}

// changed asks for a subject whose status changes.
func (o *Subjects) changed(v *visit) {
	issuer, j := pick(&v.dice, o.issuers), v.below(changing)
	v.code(issuer, ":")
	v.text = o.appendName(v.text, 'c', j)
	v.expect(want{issuer: issuer, status: wheel[0], moves: turning, number: j})
}

// Trips: vehicles of each issuer with their places, which are carriages of even ones and rows of odd ones.
const (
	vehicles = 10
	places   = 16
)

func (o *Subjects) placeName(vehicle, place uint64) string {
	return string(o.appendPlace(nil, vehicle, place))
}

func (o *Subjects) appendPlace(b []byte, vehicle, place uint64) []byte {
	return strconv.AppendUint(append(o.appendName(b, 't', vehicle), '-'), place, 10)
}

func (o *Subjects) placeStatus(k int, vehicle, place uint64) scanedge.Status {
	return statusByHash(hash(o.seed, uint64(k)+2, vehicle*places+place))
}

// trip asks for a place and those beside it: a carriage and its neighbours, a row and three either way.
func (o *Subjects) trip(v *visit) {
	k, vehicle, place := int(v.below(uint64(len(o.issuers)))), v.below(vehicles), int(v.below(places))
	beside := 1
	if vehicle%2 == 1 {
		beside = 3
	}
	for p := max(0, place-beside); p <= min(places-1, place+beside); p++ {
		v.code(o.issuers[k], ":")
		v.text = o.appendPlace(v.text, vehicle, uint64(p))
		v.end()
		v.expect(want{issuer: o.issuers[k], status: o.placeStatus(k, vehicle, uint64(p))})
	}
}

// movement is how a subject's status comes about, where it is not always the same.
type movement byte

const (
	registering movement = 1 + iota // there from its registration on
	turning                         // goes round the wheel
)

// settle returns what must be said in view of what was said: of what moves there is more than one right answer while a push is under way.
// An edge may show more than its offset says, never less.
func (o *Subjects) settle(w want, s said, at time.Time) want {
	k := slices.Index(o.issuers, w.issuer)
	acked := o.acked[k].Load()
	switch w.moves {
	case registering:
		if s.Error != scanedge.UnknownSubject {
			return w
		}
		tick := sort.Search(int(acked), func(b int) bool { return o.registeredBy(uint64(b)+1) > w.number })
		if tick < int(acked) && at.Sub(o.marks[k][tick].at) > shownWithin {
			return w
		}
		return unknownSubject
	case turning:
		first := sort.Search(int(acked), func(b int) bool { return o.marks[k][b].offset > s.Offset })
		for b := uint64(first); b <= min(acked+1, o.ticks); b++ {
			turns := (o.changedBy(b) + changing - 1 - w.number) / changing
			if w.status = wheel[turns%uint64(len(wheel))]; w.status == s.Status {
				break
			}
		}
	}
	return w
}

// Reasons returns why the run is not to be believed for what became of its own subjects.
func (o *Subjects) Reasons() []string {
	if o == nil || o.why == "" {
		return nil
	}
	return []string{o.why}
}

// Remove takes the run's own subjects off the fleet again, also after an interrupt. That it can't is a reason unless there is one.
func (o *Subjects) Remove(ctx context.Context) {
	if o == nil {
		return
	}
	if err := o.removeAll(ctx); err != nil && o.why == "" {
		o.why = "the run's own subjects could not be removed: " + err.Error()
	}
}

func (o *Subjects) removeAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for k, issuer := range o.issuers {
		deltas := o.standing(k)
		for b := range min(o.acked[k].Load()+1, o.ticks) {
			deltas = append(deltas, o.due(k, b)...)
		}
		gone := map[string]bool{}
		deltas = slices.DeleteFunc(deltas, func(d scanedge.Delta) bool {
			was := gone[d.Subject]
			gone[d.Subject] = true
			return was
		})
		for part := range slices.Chunk(deltas, removeBatch) {
			for i := range part {
				part[i] = scanedge.Delta{Subject: part[i].Subject, Remove: true}
			}
			if _, err := o.push(ctx, issuer, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// late says that an unmarked answer is older than an edge may say without a mark.
func (o *Subjects) late(s said) string {
	k := slices.Index(o.issuers, s.Issuer)
	if owed := o.owed[k].Load(); !s.Stale && s.Offset < owed {
		return fmt.Sprintf("not marked as stale at offset %d, though %d was acknowledged more than %v before", s.Offset, owed, shownWithin)
	}
	return ""
}
