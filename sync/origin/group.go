package origin

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// Pushes that wait are stored by one append, each as a record of its own. What an append may hold is bounded, so that no push
// waits long for those beside it: so many bytes of records, and pushes. A push that takes more than one message is bulk, and
// has an append of its own.
const (
	groupBytes  = 16 << 20
	groupPushes = 512

	// groupWorth is how many records are stored faster by one append than by as many. An append of one costs an fsync; one of
	// several about sixteen, however many.
	groupWorth = 16
)

// push is a validated push on its way to the log.
type push struct {
	record  []byte // head still blank, body, and room for the signature
	batch   delta.Batch
	sum     delta.Sum // of a push with a key
	ifMatch *uint64   // the last batch must be this one
	done    chan outcome

	overruled []uint64 // the deltas that count for nothing: see overruled
	from      caller
	run       string // of the file that it is a piece of; may be empty
	consent   consent
}

// consent is who has seen what a push changes.
type consent int

const (
	nobody   consent = iota // max_change holds it
	pusher                  // it is of a change whose preview was accepted
	approver                // another token approved it: what its own changed until now counts no more
)

type outcome struct {
	receipt  scanedge.Receipt
	tally    tally
	replayed bool // the receipt is that of an earlier push with the same key
	err      error
}

var (
	errStopping  = errors.New("the origin is stopping")
	errHungUp    = errors.New("the pusher hung up") // before the writer took its push: it is not in the log
	errKeyReused = errors.New("the Idempotency-Key came with other deltas before")
)

// movedError is the refusal of a push whose If-Match does not name the last batch.
type movedError struct{ now uint64 }

func (e movedError) Error() string {
	return fmt.Sprintf("the issuer's last batch has offset %d", e.now)
}

// newPush encodes a push as far as can be done before its place in the chain is known. It uses no state of the writer's.
func newPush(w *writer, info delta.Info, deltas []cache.Delta, ifMatch *uint64) (*push, error) {
	head := issuer.Head{Kind: issuer.Batch, Issuer: w.secret.ID}
	record := make([]byte, 0, issuer.RecordSize(head, delta.BatchSize(info, len(deltas))))
	record = issuer.AppendHead(record, head)
	body := len(record)
	record = delta.AppendBatch(record, info, deltas)
	batch, err := delta.ParseBatch(record[body:]) // as it will be read back; it holds no copy of the deltas
	if err != nil {
		return nil, err
	}
	p := &push{record: record, batch: batch, ifMatch: ifMatch, overruled: overruled(deltas)}
	p.done = make(chan outcome, 1) // of one place: the writer never waits
	if info.Key != "" {
		p.sum = batch.Sum()
	}
	return p, nil
}

// size is the size of the push's record, in bytes.
func (p *push) size() int { return len(p.record) + ed25519.SignatureSize }

// submit hands a push to the writer and waits for its place in the log. It goes on waiting though the asker went away: the
// batch is in the writer's hands.
func (w *writer) submit(ctx context.Context, p *push) outcome {
	queue := w.pushes
	if deltalog.Pieces(p.size()) > 1 {
		queue = w.bulk
	}
	select {
	case queue <- p:
		return <-p.done
	case <-w.stopped:
		return outcome{err: errStopping}
	case <-ctx.Done():
		return outcome{err: errHungUp}
	}
}

// gather adds the pushes that wait now to those at hand.
func (w *writer) gather(group ...*push) []*push {
	size := 0
	for _, p := range group {
		size += p.size()
	}
	for len(group) < groupPushes && size < groupBytes {
		select {
		case p := <-w.pushes:
			group = append(group, p)
			size += p.size()
		default:
			return group
		}
	}
	return group
}

// chain is records that will be stored by one append, and where they leave the log.
type chain struct {
	secret  *issuer.Secret
	epoch   uint64
	now     time.Time
	at      cache.Position // of the last of them
	last    uint64         // the log's last sequence once they are stored
	records [][]byte
	links   []link
	size    int64 // of the records, in bytes
}

// chain begins a chain at the log's end.
func (w *writer) chain() *chain {
	return &chain{secret: w.secret, epoch: w.epoch, now: time.Now(), at: w.at, last: w.last}
}

// add signs a record for the next place. Its head is blank still; p is the push that it carries, if it is a batch.
func (c *chain) add(kind issuer.Kind, record []byte, p *push) {
	size := len(record) + ed25519.SignatureSize
	c.last += deltalog.Pieces(size)
	l := link{head: issuer.Head{Kind: kind, Issuer: c.secret.ID, Epoch: c.epoch, Offset: c.last, Prev: c.at, Time: c.now}}
	if p != nil {
		l.batch, l.sum = p.batch, p.sum
	}
	issuer.AppendHead(record[:0], l.head)
	record, hash := issuer.Sign(record, c.secret.Key)
	l.at = cache.Position{Offset: c.last, Hash: hash}
	c.at = l.at
	c.size += int64(size)
	c.records, c.links = append(c.records, record), append(c.links, l)
}

// commit decides on pushes in their order, stores those that are to be stored, and answers all.
func (w *writer) commit(pushes []*push) {
	if len(pushes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	if err := w.sure(ctx); err != nil {
		for _, p := range pushes {
			p.done <- outcome{err: err}
		}
		w.took(err)
		return
	}
	g := group{chain: w.chain(), past: &w.past, batch: w.past.last, w: w, several: len(pushes) > 1, over: w.over}
	w.past.expire(g.now)
	for _, p := range pushes {
		g.take(p)
	}
	stored, err := w.storePushes(ctx, g.chain)
	for _, a := range g.answers {
		if a.rests > stored {
			a.outcome = outcome{err: err}
		}
		a.push.done <- a.outcome
	}
	for _, l := range g.links[:stored] {
		w.deltas.Add(l.batch.Len())
	}
	g.settle(stored)
}

// storePushes is store for what the disk may refuse, so that beats have room.
func (w *writer) storePushes(ctx context.Context, c *chain) (stored int, err error) {
	if len(c.links) == 0 {
		return 0, nil
	}
	if err = w.disk.check(2*c.size, forPushes); err == nil { // the log's server writes a group twice
		stored, err = w.store(ctx, c)
		w.appends.UpdateDuration(c.now)
	}
	w.took(err)
	return stored, err
}

// group is pushes that are decided on together. What one of them is told may rest on those before it: it is told once they are
// stored.
type group struct {
	*chain
	past    *past
	batch   uint64           // offset of the last batch, with the group
	keys    map[string]known // of the group
	answers []answer

	// What each of the links changes, of the table with those before it.
	w       *writer
	several bool    // or none comes after another, and none needs to know what it set
	over    overlay // what the links set, until they are stored
	grown   int     // how many subjects they add
	charged []charged
}

// charged is a push that was given its place, and what it changes.
type charged struct {
	push  *push
	tally tally
}

type answer struct {
	push    *push
	outcome outcome
	rests   int // on so many of the group's links being stored
}

// tell is what a push is to be told once all that the group has now is stored.
func (g *group) tell(p *push, o outcome) { g.answers = append(g.answers, answer{p, o, len(g.links)}) }

// take gives a push its place, or its answer.
func (g *group) take(p *push) {
	key := p.batch.Key
	if k, ok := g.past.find(key); ok {
		g.answers = append(g.answers, answer{push: p, outcome: k.answer(p)})
		return
	}
	if k, ok := g.keys[key]; ok {
		g.tell(p, k.answer(p))
		return
	}
	if p.ifMatch != nil && *p.ifMatch != g.batch {
		g.tell(p, outcome{err: movedError{g.batch}})
		return
	}
	t, err := g.weigh(p)
	if err != nil {
		g.tell(p, outcome{err: err})
		return
	}
	g.add(issuer.Batch, p.record, p)
	g.batch = g.last
	g.tell(p, outcome{receipt: scanedge.Receipt{Offset: g.last, Count: p.batch.Len()}, tally: t})
	if key != "" {
		if g.keys == nil {
			g.keys = map[string]known{}
		}
		g.keys[key] = newKnown(g.links[len(g.links)-1])
	}
}

// weigh counts what a push changes, and refuses it if that needs an approval.
func (g *group) weigh(p *push) (tally, error) {
	t := p.tally(&g.w.table, g.over)
	t.before += g.grown
	switch p.consent {
	case nobody:
		if why := g.w.accounts.charge(p, t, g.w.maxChange(), g.now); why != "" {
			return t, heldError{t, why}
		}
	case approver:
		g.w.accounts.forgive(p)
	}
	g.charged = append(g.charged, charged{p, t})
	g.grown += t.added - t.removed
	if g.several {
		g.over.add(p.batch)
	}
	return t, nil
}

// settle takes back what was charged for pushes that are not among the first so many that were stored.
func (g *group) settle(stored int) {
	clear(g.over)
	for _, c := range g.charged[stored:] {
		if c.push.consent == nobody {
			g.w.accounts.refund(c.push, c.tally)
		}
	}
}
