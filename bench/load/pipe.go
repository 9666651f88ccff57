package load

import (
	"errors"
	"time"
)

const (
	// window is how many requests of a pipelined connection may be without an answer. When there are as many, visits wait.
	window = 256

	// flushAt is so many bytes of requests that they are written, though more are due.
	flushAt = 16 << 10
)

// flight is a visit under way.
type flight struct {
	visit Visit
	sent  time.Duration
	wire  *wire // that it goes over,
	err   error // or why there is none
}

// pipe plays visits over a connection that takes requests without waiting for answers: one goroutine writes, another reads, and
// answers come in the order of the requests. When the connection ends, all that is under way on it has failed, and the next
// visit dials again.
type pipe struct {
	lane               // its connection is the writer's
	free  chan *flight // those that are not under way
	under chan *flight // those that are, in their order
	batch []*flight    // written into out, but not sent
}

// play writes what is due, all of it at once, until there are no more visits and the last one has its answer.
func (p *pipe) play() {
	p.free, p.under = make(chan *flight, window), make(chan *flight, window)
	for range window {
		p.free <- new(flight)
	}
	read := make(chan struct{})
	go func() { defer close(read); p.read() }()
	queue := p.visits()
	for i := range queue {
		if p.late() {
			continue
		}
		p.add(i)
		if len(queue) == 0 || len(p.out) > flushAt {
			p.flush()
		}
	}
	p.flush()
	close(p.under)
	<-read
	p.wires.close(p.wire)
}

// add makes visit i and its request.
func (p *pipe) add(i uint64) {
	if len(p.free) == 0 {
		p.flush() // or it would wait for answers to what it has not sent
	}
	f := <-p.free
	if p.wire == nil || p.wire.stale(p.now(), p.last) {
		p.flush()
		p.wire, f.err = p.dial() // the reader ends the one before, when it is through with it
	}
	f.wire = p.wire
	p.fill(i, &f.visit)
	p.out = p.edge.request(p.out, &f.visit, false)
	p.batch = append(p.batch, f)
}

// flush sends what was made. A visit is under way before it is written, so that an answer always finds it.
func (p *pipe) flush() {
	if len(p.batch) == 0 {
		return
	}
	p.last = p.sending(uint64(len(p.batch)))
	for _, f := range p.batch {
		f.sent = p.last
		p.under <- f
	}
	if p.wire != nil {
		if _, err := p.wire.Write(p.out); err != nil {
			p.wire.spent.Store(true)
			_ = p.wire.Close() // the reader finds out
		}
	}
	p.batch, p.out = p.batch[:0], p.out[:0]
}

// read takes answers, until the writer has no more visits.
func (p *pipe) read() {
	var now *wire
	var ended error // why now is not good any more
	var a Answer
	for f := range p.under {
		if f.wire != now {
			p.wires.close(now)
			now, ended = f.wire, f.err
		}
		err := ended
		if err == nil {
			err, ended = p.answer(f, &a)
		}
		p.conclude(p.shard, f, &a, err)
		f.wire, f.err = nil, nil
		p.free <- f
	}
	p.wires.close(now)
}

// errClosed is what becomes of requests that were sent before the edge said that it would answer no more of them.
var errClosed = errors.New("the edge closed the connection with requests on it")

// answer reads the answer to a visit, and returns also why there is none to the next one.
func (p *pipe) answer(f *flight, a *Answer) (err, ended error) {
	w := f.wire
	err = w.read(f.sent, a)
	if err == nil && w.in.Buffered() > 0 && len(p.under) == 0 {
		err = errUnasked
	}
	ended = err
	if err == nil && w.spent.Load() {
		ended = errClosed
	}
	if ended != nil {
		w.spent.Store(true)
		_ = w.Close() // or the writer would fill it
	}
	return err, ended
}
