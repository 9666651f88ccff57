package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/scanedge/scanedge"
)

// A terminal's alternate screen, so that what stood before comes back at the end.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	homeCursor  = "\x1b[H"
	clearRight  = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// look is what came of one question.
type look struct {
	at     time.Time
	status scanedge.FleetStatus // of the last answer; its At is zero if there was none
	err    error                // nil: the answer is of now
}

// watchStatus asks each second until ctx ends, which is no error. It ends by itself when nobody reads on, or when the origin says
// that it will never answer: a token or a verb that it does not know.
func watchStatus(ctx context.Context, s screen, ask func(context.Context) (scanedge.FleetStatus, error)) error {
	show := s.follow()
	if s.size != nil {
		if _, err := io.WriteString(s.out, enterScreen); err != nil {
			return err
		}
		show = s.redraw
		defer func() { _, _ = io.WriteString(s.out, leaveScreen) }()
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for now := (look{}); ; {
		status, err := ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if p := (*scanedge.Problem)(nil); errors.As(err, &p) && p.Status/100 == 4 && p.Status != 429 {
			return err
		}
		if now.at, now.err = time.Now(), err; err == nil {
			now.status = status
		}
		if err := show(now); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// redraw shows a look in the place of the last one, cut to the terminal's size.
func (s screen) redraw(now look) error {
	width, height := s.size()
	lines := []line{{now.at.Format(time.DateTime) + "  Ctrl-C ends", dim}}
	if now.err != nil {
		lines = append(lines, line{"no answer, asking on: " + now.err.Error(), bad})
		if !now.status.At.IsZero() {
			lines = append(lines, line{"the last answer was of " + now.status.At.Local().Format(time.TimeOnly) + ":", bad})
		}
	}
	if !now.status.At.IsZero() {
		lines = append(lines, statusLines(now.status, width)...)
	}
	if more := len(lines) - height + 1; more > 1 {
		lines = append(lines[:height-2], line{fmt.Sprintf("and %s more", many(more, "line")), dim})
	}
	var b strings.Builder
	b.WriteString(homeCursor)
	for _, l := range lines {
		l.text = runewidth.Truncate(l.text, width, "…")
		b.WriteString(s.paint(l) + clearRight + "\r\n")
	}
	b.WriteString(clearBelow)
	_, err := io.WriteString(s.out, b.String())
	return err
}

// follow prints a line a look, and before it one for each thing that became wrong or well since the last.
func (s screen) follow() func(look) error {
	var was []string
	return func(now look) error {
		text, wrong := summary(now.status), now.status.Why
		if now.err != nil {
			text, wrong = "no answer, asking on: "+now.err.Error(), was
		}
		var b strings.Builder
		at := now.at.Format(time.TimeOnly)
		for _, why := range without(wrong, was) {
			fmt.Fprintf(&b, "%s  wrong: %s\n", at, printable(why))
		}
		for _, why := range without(was, wrong) {
			fmt.Fprintf(&b, "%s  no longer: %s\n", at, printable(why))
		}
		fmt.Fprintf(&b, "%s  %s\n", at, text)
		was = wrong
		_, err := io.WriteString(s.out, b.String())
		return err
	}
}

// without is the sentences of a that b has not, whatever their durations are: these grow each second.
func without(a, b []string) (rest []string) {
	known := map[string]bool{}
	for _, why := range b {
		known[lettersOf(why)] = true
	}
	for _, why := range a {
		if !known[lettersOf(why)] {
			rest = append(rest, why)
		}
	}
	return rest
}

// lettersOf is a sentence without its durations.
func lettersOf(why string) string {
	var words []string
	for _, w := range strings.Fields(why) {
		if _, err := time.ParseDuration(strings.Trim(w, ".,:;()")); err != nil {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}
