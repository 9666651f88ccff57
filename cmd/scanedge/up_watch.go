package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

const (
	watchEvery  = time.Second
	headerEvery = 20                     // lines
	readLimit   = 900 * time.Millisecond // a process that hangs must not hold the next line up
	cellWidth   = 13
)

// watch prints a line a second until ctx ends or nobody reads on. The fleet's addresses never change, so up need not be read
// again.
func watch(ctx context.Context, w io.Writer, up fleet.Up) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	was := read(ctx, up)
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := read(ctx, up)
		if ctx.Err() != nil {
			return
		}
		if n%headerEvery == 0 {
			fmt.Fprint(w, watchHeader(up))
		}
		if _, err := fmt.Fprintln(w, watchLine(up, was, now)); err != nil {
			return
		}
		was = now
	}
}

// reading is what every process counted at one moment; nil for one that did not answer.
type reading struct {
	at     time.Time
	origin fleet.Metrics
	edges  []fleet.Metrics
}

func read(ctx context.Context, up fleet.Up) reading {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	r := reading{at: time.Now(), edges: make([]fleet.Metrics, len(up.Edges))}
	var all sync.WaitGroup
	all.Go(func() { r.origin, _ = fleet.ReadMetrics(ctx, up.OriginAdmin) })
	for i, e := range up.Edges {
		all.Go(func() { r.edges[i], _ = fleet.ReadMetrics(ctx, e.Admin) })
	}
	all.Wait()
	return r
}

// watchHeader is two lines: the edges, and under each its issuers.
func watchHeader(up fleet.Up) string {
	var edges, issuers strings.Builder
	fmt.Fprintf(&edges, "%26s", "")
	fmt.Fprintf(&issuers, "%8s %8s %8s", "time", "scans/s", "deltas/s")
	for _, e := range up.Edges {
		fmt.Fprintf(&edges, "  %-*s", (cellWidth+2)*len(up.Issuers)-2, e.Name+" offset, age")
		for _, issuer := range up.Issuers {
			fmt.Fprintf(&issuers, "  %-*s", cellWidth, issuer)
		}
	}
	return strings.TrimRight(edges.String(), " ") + "\n" + strings.TrimRight(issuers.String(), " ") + "\n"
}

// watchLine says what happened between two readings, and where each edge stands.
func watchLine(up fleet.Up, was, now reading) string {
	var line strings.Builder
	seconds := now.at.Sub(was.at).Seconds()
	var scans float64
	for i := range now.edges {
		scans += gained(was.edges[i], now.edges[i], "scanedge_scans_total")
	}
	deltas := gained(was.origin, now.origin, "scanedge_deltas_total")
	fmt.Fprintf(&line, "%8s %8.0f %8.0f", now.at.Format(time.TimeOnly), scans/seconds, deltas/seconds)
	for _, m := range now.edges {
		for _, issuer := range up.Issuers {
			fmt.Fprintf(&line, "  %-*s", cellWidth, watchCell(m, issuer))
		}
	}
	return strings.TrimRight(line.String(), " ")
}

// gained is how much a counter grew. One that shrank belongs to a process that was started again, and began at nothing.
func gained(was, now fleet.Metrics, family string) float64 {
	if was == nil || now == nil {
		return 0
	}
	before, after := was.Sum(family), now.Sum(family)
	if after < before {
		return after
	}
	return after - before
}

// watchCell reads like "1234 0.3s": the offset of an issuer on an edge, and the age of what it holds.
func watchCell(m fleet.Metrics, issuer string) string {
	if m == nil {
		return "no answer"
	}
	offset, held := m.Issuer("scanedge_offset", issuer)
	if !held {
		return "not held"
	}
	age, known := m.Issuer("scanedge_age_ms", issuer)
	if !known {
		return fmt.Sprintf("%.0f -", offset)
	}
	return fmt.Sprintf("%.0f %.1fs", offset, age/1000)
}
