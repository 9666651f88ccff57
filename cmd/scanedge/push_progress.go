package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows on a terminal how far a push has come. The nil progress shows nothing.
type progress struct {
	all     *mpb.Progress
	bar     *mpb.Bar
	started time.Time
	before  int // rows that were pushed then
	rows    atomic.Int64
	from    atomic.Pointer[mark]   // what the speed is measured from; nil until it is known
	waits   atomic.Pointer[string] // why nothing moves; nil while it does
}

// mark is when the first read bytes of the input were behind.
type mark struct {
	read int64
	at   time.Time
}

// newProgress draws on w, a terminal; size is the input's bytes, or -1 for a spinner in the bar's place. A run that goes on has
// pushed rows before.
func newProgress(w io.Writer, size int64, rows int) *progress {
	p := &progress{all: mpb.New(mpb.WithOutput(w)), started: time.Now(), before: rows}
	p.rows.Store(int64(rows))
	if rows == 0 {
		p.from.Store(&mark{0, p.started})
	}
	rate := decor.Any(func(decor.Statistics) string {
		if why := p.waits.Load(); why != nil {
			return "  waiting for the origin: " + *why
		}
		rows := int(p.rows.Load())
		rate := float64(rows-p.before) / time.Since(p.started).Seconds()
		return fmt.Sprintf("  %s  %s/s", many(rows, "delta"), grouped(int(rate)))
	})
	if size < 0 {
		p.bar = p.all.New(0, mpb.SpinnerStyle(), mpb.BarWidth(1), mpb.AppendDecorators(decor.CurrentKibiByte("% .1f"), rate))
		return p
	}
	p.bar = p.all.AddBar(size, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f ")),
		mpb.AppendDecorators(decor.Percentage(), rate, decor.Any(p.left)))
	return p
}

// left is the time to the end at the speed so far; nothing is known before a piece is pushed.
func (p *progress) left(s decor.Statistics) string {
	from := p.from.Load()
	if from == nil || s.Current == from.read {
		return ""
	}
	left := time.Since(from.at).Seconds() * float64(s.Total-s.Current) / float64(s.Current-from.read)
	return "  ETA " + (time.Duration(left+0.5) * time.Second).String()
}

// show says that the first read bytes of the input are pushed, and with them rows deltas.
func (p *progress) show(read int64, rows int) {
	if p != nil {
		p.from.CompareAndSwap(nil, &mark{read, time.Now()})
		p.rows.Store(int64(rows))
		p.waits.Store(nil)
		p.bar.SetCurrent(read)
	}
}

// wait says that the origin is away, and why, until the next show.
func (p *progress) wait(why string) {
	if p != nil {
		p.waits.Store(&why)
	}
}

// stop takes the bar away.
func (p *progress) stop() {
	if p != nil {
		p.bar.Abort(true)
		p.all.Wait()
	}
}
