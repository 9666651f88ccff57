package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// columns prints rows as columns as wide as they need to be on a terminal, which gives a Chinese character two places.
func columns(w io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(runewidth.FillRight(cell, widths[i]) + "  ")
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// ago says how long it is since a time, as "3 minutes ago"; of a clock that is ahead it makes "just now".
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := roughly(now.Sub(t)); d != "" {
		return d + " ago"
	}
	return "just now"
}

// roughly is a duration in its largest unit, "" if it is less than a second.
func roughly(d time.Duration) string {
	for _, unit := range []struct {
		name string
		d    time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := d / unit.d; n > 1 {
			return fmt.Sprintf("%d %ss", n, unit.name)
		} else if n == 1 {
			return "1 " + unit.name
		}
	}
	return ""
}
