package day

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

// turn is one change of one canary.
type turn struct {
	code, issuer string
	from         scanedge.Status // "" when it could be anything
	to           scanedge.Status
	least        uint64 // the edge must be at this offset for its answer to count
}

// deltas is what is pushed for it.
func (t turn) deltas(subject string) []scanedge.Delta {
	return []scanedge.Delta{{Subject: subject, Status: t.to}}
}

// watching is the edges being asked, each by a goroutine of its own.
type watching struct {
	posts     int
	sightings chan sighting
}

// watch asks every edge until it shows the turn or ctx ends.
func (t turn) watch(ctx context.Context, posts []Watchpost) watching {
	w := watching{len(posts), make(chan sighting, len(posts))}
	for _, p := range posts {
		go func() { w.sightings <- t.see(ctx, p) }()
	}
	return w
}

func (w watching) wait() []sighting {
	all := make([]sighting, w.posts)
	for k := range all {
		all[k] = <-w.sightings
	}
	return all
}

// sighting is what one edge showed of a turn.
type sighting struct {
	edge    string
	seen    bool
	at      time.Time        // when it was
	old     scanedge.Verdict // of the answers that did not show the turn, the one at the highest offset
	strange string           // an answer that neither the old nor the new record explains
	last    string           // what came last, in words
}

// see asks one edge again and again.
func (t turn) see(ctx context.Context, p Watchpost) sighting {
	s := sighting{edge: p.Name, last: "nothing"}
	for ctx.Err() == nil {
		v, err := p.Scan(ctx, t.code)
		if ctx.Err() == nil { // else the error says no more than that
			s.note(t, v, err)
		}
		if s.seen {
			s.at = time.Now()
			break
		}
		pause(ctx, pollEvery)
	}
	return s
}

// note takes in one answer.
func (s *sighting) note(t turn, v scanedge.Verdict, err error) {
	if err != nil {
		s.last = err.Error()
		if p := (*scanedge.Problem)(nil); errors.As(err, &p) && p.Type == scanedge.UnknownSubject && t.from != "" {
			s.strange = string(p.Type)
		}
		return
	}
	s.last = fmt.Sprintf("%s of %s at offset %d", v.Status, v.Issuer, v.Offset)
	switch {
	case v.Issuer != t.issuer || v.Status != t.to && t.from != "" && v.Status != t.from:
		s.strange = s.last
	case v.Status != t.to:
		if v.Offset >= s.old.Offset {
			s.old = v
		}
	default:
		s.seen = v.Offset >= t.least
	}
}

// wrong returns the wrong answer of the edge, at most one a turn, when the origin has acknowledged the turn at the offset.
// An edge at that offset holds the push, so it must show it, whenever it was asked.
func (s *sighting) wrong(t turn, offset uint64) *load.Example {
	e := &load.Example{Code: t.code, Edge: s.edge, Expected: fmt.Sprintf("%s of %s", t.to, t.issuer)}
	switch {
	case s.strange != "":
		if t.from != "" {
			e.Expected = fmt.Sprintf("%s or %s", t.from, e.Expected)
		}
		e.Got = s.strange
	case s.old.Status != "" && s.old.Offset >= offset:
		e.Offset = s.old.Offset
		e.Expected += fmt.Sprintf(" from offset %d on", offset)
		e.Got = fmt.Sprintf("%s of %s at offset %d", s.old.Status, s.old.Issuer, s.old.Offset)
	default:
		return nil
	}
	return e
}

// latest returns when the last of the edges showed the turn.
func latest(sightings []sighting) (last time.Time) {
	for _, s := range sightings {
		if s.at.After(last) {
			last = s.at
		}
	}
	return last
}

// missing says that the edge has not shown the turn in time.
func (s *sighting) missing(t turn) string {
	return fmt.Sprintf("%s did not show %s turned %s within %v (the last it said: %s)",
		s.edge, t.code, t.to, VisibleWithin, s.last)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
