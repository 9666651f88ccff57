package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// benchProgress shows on a terminal what a benchmark is at. The nil benchProgress shows nothing.
type benchProgress struct {
	all  *mpb.Progress
	bar  *mpb.Bar
	step atomic.Pointer[string]
}

const benchProgressSteps = 1000 // of the bar

// newBenchProgress draws on w, if it is a terminal, what is measured: seldom, for it is measured what goes on beside.
func newBenchProgress(w io.Writer, what string) *benchProgress {
	f := terminalOf(w)
	if f == nil {
		return nil
	}
	p := &benchProgress{all: mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(500*time.Millisecond))}
	p.step.Store(new(string))
	p.bar = p.all.AddBar(benchProgressSteps, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(what+" ")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.Elapsed(decor.ET_STYLE_MMSS),
			decor.Any(func(decor.Statistics) string { return "  " + *p.step.Load() })))
	return p
}

// show says what is being done, and how much of all is done.
func (p *benchProgress) show(step string, done float64) {
	if p != nil {
		p.step.Store(&step)
		p.bar.SetCurrent(int64(done * benchProgressSteps))
	}
}

// stop takes the bar away.
func (p *benchProgress) stop() {
	if p != nil {
		p.bar.Abort(true)
		p.all.Wait()
	}
}
