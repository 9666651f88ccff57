package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/scanedge/scanedge/edge/passcode"
)

// watchCode shows the code of each step from now on, until ctx ends, which is no error.
func watchCode(ctx context.Context, s screen, mint func(step uint32) string) error {
	if s.size == nil {
		return followCode(ctx, s.out, mint)
	}
	if _, err := io.WriteString(s.out, enterScreen); err != nil {
		return err
	}
	defer func() { _, _ = io.WriteString(s.out, leaveScreen) }()
	for {
		now := time.Now()
		if err := s.redrawCode(mint(passcode.Step(now.Unix())), now); err != nil {
			return err
		}
		if !sleepUntil(ctx, now.Truncate(time.Second).Add(time.Second)) {
			return nil
		}
	}
}

// followCode prints a line a step.
func followCode(ctx context.Context, out io.Writer, mint func(step uint32) string) error {
	for {
		step := passcode.Step(time.Now().Unix())
		if _, err := fmt.Fprintln(out, mint(step)); err != nil {
			return err
		}
		if !sleepUntil(ctx, time.Unix(int64(step+1)*passcode.StepSeconds, 0)) {
			return nil
		}
	}
}

// redrawCode shows a code in the place of the one before.
func (s screen) redrawCode(code string, now time.Time) error {
	p, err := pictureOf(code)
	if err != nil {
		return err
	}
	left := passcode.StepSeconds - now.Unix()%passcode.StepSeconds
	below := fmt.Sprintf("a new one in %2d s   Ctrl-C ends", left)
	width, height := s.size()
	lines := append(p.lines(), line{code, ""}, line{below, dim})
	switch need := len(lines) + (len(code)-1)/width; {
	case width < p.columns() || height < len(p.lines())+1:
		lines = []line{{fmt.Sprintf("the QR takes %d columns and %d lines: widen the terminal", p.columns(), len(p.lines())+1), bad}, {code, ""}}
	case height < need: // rather the QR than its text
		lines = append(p.lines(), line{below, dim})
	}
	var b strings.Builder
	b.WriteString(homeCursor)
	for i, l := range lines {
		b.WriteString(s.paint(l) + clearRight)
		if i < len(lines)-1 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString(clearBelow)
	_, err = io.WriteString(s.out, b.String())
	return err
}

// sleepUntil reports false if ctx ended before.
func sleepUntil(ctx context.Context, t time.Time) bool {
	wake := time.NewTimer(time.Until(t))
	defer wake.Stop()
	select {
	case <-wake.C:
		return true
	case <-ctx.Done():
		return false
	}
}
