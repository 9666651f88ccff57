package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/scanedge/scanedge"
)

// pusher pushes an input piece by piece, each with a key of its own, so that it is applied once however often it is sent.
type pusher struct {
	origin  *scanedge.Origin
	in      *input
	note    string
	retry   time.Duration
	state   *stateFile // nil where nothing is remembered
	stderr  io.Writer  // for notices
	bar     *progress  // nil off a terminal
	started time.Time

	resumedLine int // 0 unless the run began in another process
	before      int // deltas that the run had pushed then

	pushRun           // as far as it has come
	ifMatch   *uint64 // the offset that the next piece must find, nil for any
	asking    bool    // the next piece may have been pushed by the process before
	unsure    bool    // it may have been pushed
	unread    bool    // the input ended in an error
	waits     bool    // the origin is away, and the user knows
	forgetful bool    // the state can't be saved, and the user knows
}

// all pushes in order, one piece under way while the next is read: two of them are all the memory that it needs.
func (p *pusher) all(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cuts := make(chan cut)
	go readPieces(ctx, p.in, p.pushRun, cuts) // apart, for a read from a pipe can't be interrupted
	for {
		select {
		case c, ok := <-cuts:
			if !ok {
				return nil
			}
			if c.err != nil {
				p.unread = true
				return p.failed(nil, fmt.Errorf("reading %s: %w", p.in.name, c.err))
			}
			if err := p.push(ctx, c.piece); err != nil {
				return p.failed(c.piece, err)
			}
			p.bar.show(c.read, p.Count)
		case <-ctx.Done():
			return p.failed(nil, errInterrupted)
		}
	}
}

// push pushes a piece. It leaves it to the origin whether there is a delta in it: a header alone, or
// blank lines, have none.
func (p *pusher) push(ctx context.Context, piece *piece) error {
	receipt, err := p.receipt(ctx, piece)
	problem := (*scanedge.Problem)(nil)
	switch {
	case err == nil:
		p.Count += receipt.Count
		p.Offset = receipt.Offset
		p.Pushes++
		if p.ifMatch != nil {
			p.ifMatch = &receipt.Offset
		}
	case errors.As(err, &problem) && problem.Type == scanedge.NoDeltas:
	case ctx.Err() != nil:
		p.unsure = true
		return errInterrupted
	case isHeld(err): // the origin knows no push with this key, or it would have said so
		p.unsure = false
		return err
	default:
		p.unsure = p.unsure || mayBeApplied(err)
		return err
	}
	p.Pieces++
	p.Next, p.Position = piece.next, piece.end
	p.unsure, p.waits = false, false
	return nil
}

// receipt is the origin's for the piece, which it gets unless the process before this one pushed it.
func (p *pusher) receipt(ctx context.Context, piece *piece) (scanedge.Receipt, error) {
	if p.asking {
		if receipt, found, _ := p.origin.Pushed(ctx, p.Issuer, p.key()); found {
			return receipt, nil
		}
		p.asking = false // if the answer got lost, or comes too early for a push that is under way yet, its key will tell
	}
	p.remember()
	contentType := scanedge.NDJSON
	if piece.header > 0 {
		contentType = scanedge.CSV
	}
	options := []scanedge.PushOption{
		scanedge.WithKey(p.key()), scanedge.WithNote(p.note), scanedge.WithRun(p.ID),
		scanedge.WithRetry(scanedge.Retry{For: p.retry, Waiting: p.waiting}),
	}
	if p.ifMatch != nil {
		options = append(options, scanedge.WithIfMatch(*p.ifMatch))
	}
	return p.origin.PushReader(ctx, p.Issuer, contentType, bytes.NewReader(piece.body), options...)
}

// waiting is told that the piece is not through yet.
func (p *pusher) waiting(err error, _ time.Duration) {
	p.unsure = p.unsure || mayBeApplied(err)
	if p.bar == nil && !p.waits {
		_, _ = fmt.Fprintf(p.stderr, "waiting up to %s for the origin: %v\n", p.retry, err)
	}
	p.waits = true
	p.bar.wait(reason(err))
}

// reason is err in a word or two.
func reason(err error) string {
	problem, errno := (*scanedge.Problem)(nil), syscall.Errno(0)
	switch {
	case errors.As(err, &problem):
		return string(problem.Type)
	case errors.As(err, &errno):
		return errno.Error()
	}
	return "no answer"
}

// begin goes on with the run of the job that the state remembers, unless restart says not to, or with a new one.
func (p *pusher) begin(job pushJob, restart bool) {
	p.pushRun = newRun(job)
	if p.state == nil || restart {
		return
	}
	run, resumed, why := p.state.resume(job)
	if why != nil {
		_, _ = fmt.Fprintf(p.stderr, "the push of %s that was cut can't be gone on with: %v; pushing from the start\n", p.in.name, why)
	}
	if !resumed {
		return
	}
	p.pushRun, p.asking, p.unsure = run, true, true
	if run.Pieces > 0 {
		_, _ = fmt.Fprintf(p.stderr, "resumed at line %d\n", run.Next)
		p.resumedLine, p.before = run.Next, run.Count
	}
}

// match makes the first piece from here on find offset, nil for any, or, if that is what the run began with, the one that the
// run itself has come to.
func (p *pusher) match(offset *uint64) {
	begun := p.IfMatch != nil && offset != nil && *p.IfMatch == *offset
	p.ifMatch, p.IfMatch = offset, offset
	if begun && p.Pushes > 0 {
		own := p.Offset
		p.ifMatch = &own
	}
}

// remember saves how far the run is, before each piece is sent. A state that is of an earlier moment, because it could not be
// saved, is as good: the origin knows the pieces since then by their keys.
func (p *pusher) remember() {
	if p.state == nil {
		return
	}
	if err := p.state.save(p.pushRun); err != nil && !p.forgetful {
		p.forgetful = true
		_, _ = fmt.Fprintf(p.stderr, "if this push is cut it may not be gone on with: %v\n", err)
	}
}

// end forgets a run that is through, or has pushed nothing.
func (p *pusher) end(err error) {
	switch {
	case p.state == nil:
	case err == nil, p.Pieces == 0 && !p.unsure && !isHeld(err):
		p.state.forget()
	default:
		p.remember()
	}
}

// isHeld tells whether a piece waits for an approval, after which it is known by its key.
func isHeld(err error) bool { return problemOf(err, scanedge.NeedsApproval) != nil }
