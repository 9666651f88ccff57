package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/scanedge/scanedge/bench/load"
	"github.com/scanedge/scanedge/bench/report"
)

// dayView shows on a terminal how a day goes, in the place of what it showed before; what stands above it stays.
type dayView struct {
	screen
	over  time.Duration // that the day takes
	was   load.Progress // what was shown last,
	at    time.Duration // when,
	shown int           // and in how many lines
}

// dayProgress tells how a day goes: on a terminal in one place, elsewhere by a line a second.
func dayProgress(s screen, over time.Duration) func(time.Duration, load.Progress) {
	if s.size != nil {
		return (&dayView{screen: s, over: over}).show
	}
	return func(now time.Duration, p load.Progress) { fmt.Fprintln(s.out, report.Line(now, p)) }
}

// show draws how far the day is. Every line is cut to the terminal's width, or it would take two of the screen's and the next view
// would begin too low; and on a low terminal the last ones are left out, for the cursor can't go up to what has scrolled away.
func (v *dayView) show(now time.Duration, p load.Progress) {
	width, height := v.size()
	lines := v.lines(now, p, width-1)
	lines = lines[:min(len(lines), max(1, height-1))]
	var b strings.Builder
	if v.shown > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", v.shown)
	}
	for _, l := range lines {
		l.text = runewidth.Truncate(l.text, width-1, "…")
		b.WriteString(v.paint(l) + clearRight + "\r\n")
	}
	b.WriteString(clearBelow)
	_, _ = io.WriteString(v.out, b.String()) // a terminal that is gone is no reason to end the day
	v.was, v.at, v.shown = p, now, len(lines)
}

// lines are a view: what is most worth knowing comes first.
func (v *dayView) lines(now time.Duration, p load.Progress, width int) []line {
	second := max(now-v.at, time.Millisecond).Seconds()
	rate := func(is, was uint64) string { return grouped(int(float64(is-was)/second + 0.5)) }
	errors := line{fmt.Sprintf("errors   wrong %s  failed %s  refused %s", group(p.Wrong), group(p.Failed), group(p.Refused)), ""}
	if p.Wrong+p.Failed+p.Refused > 0 {
		errors.shade = bad
	}
	visible := "no turn was seen through in this second"
	if p.Visible > 0 {
		visible = fmt.Sprintf("p99 %.1f ms from push to the last edge", p.Visible)
	}
	return []line{
		{v.bar(now, width), ""},
		errors,
		{fmt.Sprintf("rate     planned %s/s  answered %s/s  %s visits/s", rate(p.Planned, v.was.Planned), rate(p.Answered, v.was.Answered),
			rate(p.Visits, v.was.Visits)), ""},
		{fmt.Sprintf("latency  p50 %.2f  p99 %.2f  p99.9 %.2f ms", p.P50, p.P99, p.P999), ""},
		{fmt.Sprintf("lag      p99 %.2f ms, by the generator", p.Lag), ""},
		{"visible  " + visible, ""},
		{fmt.Sprintf("so far   planned %s  sent %s  answered %s", group(p.Planned), group(p.Sent), group(p.Answered)), dim},
	}
}

// bar reads like "[=====>    ]  52 %  9s left"; where it is too narrow for a bar, without it.
func (v *dayView) bar(now time.Duration, width int) string {
	done := min(1, now.Seconds()/max(v.over, time.Second).Seconds())
	words := fmt.Sprintf("%3.0f %%  %v left", 100*done, max(0, v.over-now).Round(time.Second))
	if now >= v.over {
		words = "100 %  waiting for the last answers"
	}
	room := min(40, width-len(words)-4)
	if room < 4 {
		return strings.TrimSpace(words)
	}
	filled := int(done * float64(room))
	return "[" + strings.Repeat("=", filled) + strings.Repeat(" ", room-filled) + "]  " + words
}

func group(n uint64) string { return grouped(int(n)) }
