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
	rows    atomic.Int64
}

// newProgress draws on w, a terminal; size is the input's bytes, or -1 for a spinner in the bar's place.
func newProgress(w io.Writer, size int64) *progress {
	p := &progress{all: mpb.New(mpb.WithOutput(w)), started: time.Now()}
	rate := decor.Any(func(decor.Statistics) string {
		rows := int(p.rows.Load())
		return fmt.Sprintf("  %s  %s/s", many(rows, "delta"), grouped(int(float64(rows)/time.Since(p.started).Seconds())))
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

// left is the time to the end at the speed so far; nothing is known before the first piece is pushed.
func (p *progress) left(s decor.Statistics) string {
	if s.Current == 0 {
		return ""
	}
	left := time.Since(p.started).Seconds() * float64(s.Total-s.Current) / float64(s.Current)
	return "  ETA " + (time.Duration(left+0.5) * time.Second).String()
}

// show says that the first read bytes of the input are pushed, and with them rows deltas.
func (p *progress) show(read int64, rows int) {
	if p != nil {
		p.rows.Store(int64(rows))
		p.bar.SetCurrent(read)
	}
}

// stop takes the bar away.
func (p *progress) stop() {
	if p != nil {
		p.bar.Abort(true)
		p.all.Wait()
	}
}
