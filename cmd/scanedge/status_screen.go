package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/scanedge/scanedge"
)

// screen is where a status is shown.
type screen struct {
	out    io.Writer
	size   func() (columns, lines int) // of a terminal; nil elsewhere
	colour bool
}

// shade is a line's colour, as a terminal takes it; "" for none.
type shade string

const (
	bad  shade = "\x1b[31m"
	good shade = "\x1b[32m"
	dim  shade = "\x1b[2m"
)

// line is one of a screen.
type line struct {
	text  string
	shade shade
}

func (s screen) paint(l line) string {
	if !s.colour || l.shade == "" {
		return l.text
	}
	return string(l.shade) + l.text + "\x1b[0m"
}

// columns is the terminal's width, 0 where there is none.
func (s screen) columns() int {
	if s.size == nil {
		return 0
	}
	n, _ := s.size()
	return n
}

func (s screen) show(status scanedge.FleetStatus) error {
	for _, l := range statusLines(status, s.columns()) {
		if _, err := fmt.Fprintln(s.out, s.paint(l)); err != nil {
			return err
		}
	}
	return nil
}

// statusLines is a status for people, the verdict first. Columns that don't fit the width are left out, the least telling first.
func statusLines(status scanedge.FleetStatus, width int) []line {
	lines := []line{{summary(status), good}}
	if status.State != scanedge.Healthy {
		lines[0].shade = bad
	}
	for _, why := range status.Why {
		lines = append(lines, line{"  " + printable(why), bad})
	}
	lines = append(lines, line{})
	lines = append(lines, issuerTable(status).lines(width)...)
	if len(status.Edges) > 0 {
		lines = append(lines, line{})
		lines = append(lines, edgeTable(status).lines(width)...)
	}
	return lines
}

// summary reads like "healthy: 2 issuers, 2 of 3 edges live, 1,200 scans/s; origin 0.1.0".
func summary(status scanedge.FleetStatus) string {
	live, enrolled, scans := 0, 0, 0.0
	for _, e := range status.Edges {
		if e.State != scanedge.EdgeRevoked {
			enrolled++
		}
		if e.State == scanedge.EdgeLive {
			live++
			scans += e.ScansPerSecond
		}
	}
	return fmt.Sprintf("%s: %s, %d of %s live, %s scans/s; origin %s", status.State, many(len(status.Issuers), "issuer"), live,
		many(enrolled, "edge"), grouped(int(scans+0.5)), printable(status.Version))
}

// grid is rows under a head, some of them bad.
type grid struct {
	rows   [][]string
	shades []shade
	drop   []string // heads of the columns that a narrow screen does without, in that order
}

func (t *grid) add(s shade, cells ...string) {
	t.rows, t.shades = append(t.rows, cells), append(t.shades, s)
}

func (t *grid) lines(width int) (lines []line) {
	for {
		var text bytes.Buffer
		_ = columns(&text, t.rows) // memory takes it all
		lines = nil
		widest := 0
		for i, row := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
			widest = max(widest, runewidth.StringWidth(row))
			lines = append(lines, line{row, t.shades[i]})
		}
		if width == 0 || widest <= width || len(t.drop) == 0 {
			return lines
		}
		at := slices.Index(t.rows[0], t.drop[0])
		t.drop = t.drop[1:]
		for i, row := range t.rows {
			t.rows[i] = slices.Delete(slices.Clone(row), at, at+1)
		}
	}
}

func issuerTable(status scanedge.FleetStatus) *grid {
	t := &grid{drop: []string{"digest", "edges at", "log"}}
	t.add(dim, "issuer", "offset", "edges at", "subjects", "log", "snapshot", "held", "digest")
	for _, i := range status.Issuers {
		snapshot, reached, held := "none yet", "-", "-"
		if i.SnapshotAt != nil {
			snapshot = fmt.Sprintf("%s, %s old", bytesText(i.SnapshotBytes), brief(status.At.Sub(*i.SnapshotAt)))
		}
		if i.ReachedAll != nil {
			reached = offsetText(*i.ReachedAll, i.Offset)
		}
		if i.Held > 0 {
			held = grouped(i.Held)
		}
		t.add("", i.Issuer, strconv.FormatUint(i.Offset, 10), reached, grouped(int(i.Count)), bytesText(i.LogBytes), snapshot, held, i.Digest)
	}
	return t
}

// edgeTable has a row for each issuer that an edge holds; what is the edge's own stands in the first of them.
func edgeTable(status scanedge.FleetStatus) *grid {
	offsets := map[string]uint64{}
	for _, i := range status.Issuers {
		offsets[i.Issuer] = i.Offset
	}
	t := &grid{drop: []string{"rebuilt", "version", "scrubbed", "reported", "scans/s"}}
	t.add(dim, "edge", "state", "scans/s", "issuer", "offset", "age", "digest", "scrubbed", "rebuilt", "reported", "version")
	for _, e := range status.Edges {
		shade, reported, scans := shade(""), "-", "-"
		switch e.State {
		case scanedge.EdgeSilent:
			shade = bad
		case scanedge.EdgeNever, scanedge.EdgeRevoked:
			shade = dim
		case scanedge.EdgeLive:
			scans = grouped(int(e.ScansPerSecond + 0.5))
		}
		if e.ReportedAgeMS != nil {
			reported = brief(time.Duration(*e.ReportedAgeMS)*time.Millisecond) + " ago"
		}
		own := []string{e.Edge, e.State, scans}
		version := printable(e.Version)
		if e.Version == "" {
			version = "-"
		}
		if len(e.Issuers) == 0 {
			t.add(shade, append(own, "-", "-", "-", "-", "-", "-", reported, version)...)
		}
		for _, i := range e.Issuers {
			s := shade
			if s == "" && !(i.Ready && i.Vouching && i.Agrees) {
				s = bad
			}
			t.add(s, append(slices.Clone(own), append(tableCells(i, offsets[i.Issuer], e.State == scanedge.EdgeLive), reported, version)...)...)
			own, reported, version = []string{"", "", ""}, "", ""
		}
	}
	return t
}

// tableCells are issuer, offset, age, digest, scrubbed and rebuilt of an edge's table. What an edge said that is not live is of the past.
func tableCells(i scanedge.EdgeIssuerStatus, offset uint64, live bool) []string {
	age, digest := brief(time.Duration(i.AgeMS)*time.Millisecond), "agrees"
	switch {
	case !i.Ready:
		age, digest = "-", "not ready"
	case !i.Agrees && live:
		digest = "differs"
	case !i.Agrees:
		digest = "differed"
	case !live:
		digest = "agreed"
	}
	if i.Ready && !(i.Vouching && live) {
		age += " stale"
	}
	scrubbed := brief(time.Duration(i.ScrubAgeMS)*time.Millisecond) + " ago"
	return []string{i.Issuer, offsetText(i.Offset, offset), age, digest, scrubbed, grouped(int(i.Rebuilds))}
}

// offsetText is an offset that commands take, and how far it is behind the log's.
func offsetText(at, log uint64) string {
	if at >= log {
		return strconv.FormatUint(at, 10)
	}
	return fmt.Sprintf("%d, %s behind", at, grouped(int(log-at)))
}

// bytesText is a size to two or three digits.
func bytesText(n uint64) string {
	for _, u := range byteUnits {
		if size := float64(n) / float64(u.size); size >= 10 || u.size == 1 {
			return fmt.Sprintf("%.0f %s", size, u.name)
		} else if size >= 1 {
			return fmt.Sprintf("%.1f %s", size, u.name)
		}
	}
	return ""
}

// brief is a duration that changes little to the eye: 0.3s, 12s, 5m, 3h, 9d.
func brief(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
