package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// tableProgress shows on a terminal what table bench is at. The nil tableProgress shows nothing.
type tableProgress struct {
	all  *mpb.Progress
	bar  *mpb.Bar
	step atomic.Pointer[string]
}

const tableProgressSteps = 1000 // of the bar

// newTableProgress draws on w if it is a terminal: seldom, for it is measured what goes on beside.
func newTableProgress(w io.Writer, subjects int64) *tableProgress {
	f := terminalOf(w)
	if f == nil {
		return nil
	}
	p := &tableProgress{all: mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(500*time.Millisecond))}
	p.step.Store(new(string))
	p.bar = p.all.AddBar(tableProgressSteps, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(many(int(subjects), "subject")+" ")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.Elapsed(decor.ET_STYLE_MMSS),
			decor.Any(func(decor.Statistics) string { return "  " + *p.step.Load() })))
	return p
}

// show says what is being done, and how much of all is done.
func (p *tableProgress) show(step string, done float64) {
	if p != nil {
		p.step.Store(&step)
		p.bar.SetCurrent(int64(done * tableProgressSteps))
	}
}

// stop takes the bar away.
func (p *tableProgress) stop() {
	if p != nil {
		p.bar.Abort(true)
		p.all.Wait()
	}
}
