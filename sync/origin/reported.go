package origin

import (
	"slices"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
)

// reported is an edge and what it said last.
//
// An edge is one process but while it is handed from one to the next: then both answer scans, and both report. last is of the one in charge,
// the one since the later time. It names those beside it that count too: the edge shows what all of them show, and one that is named
// and was not heard shows nothing. Whatever else is heard of other processes is of one that the edge is done with.
type reported struct {
	since  time.Time      // when it could have begun to report
	at     time.Time      // of last; zero: none yet
	last   access.Report  // of the process in charge
	beside *access.Report // of another that it names; nil: none was heard
}

// take takes a report that came now.
func (r *reported) take(report access.Report, now time.Time) {
	switch {
	case r.inCharge(report, now):
		if r.last.Incarnation != report.Incarnation {
			before := r.last
			r.beside = &before
		}
		r.at, r.last = now, report
		if r.beside != nil && !report.Names(r.beside.Incarnation) {
			r.beside = nil
		}
	case r.last.Names(report.Incarnation):
		r.beside = &report
	}
}

// inCharge reports whether a report is of the process that speaks for the edge from now on. One that was in charge before the last comes
// back if that has fallen silent, and an edge of a release that has no incarnations is whatever it says.
func (r *reported) inCharge(report access.Report, now time.Time) bool {
	return r.at.IsZero() || report.Incarnation == "" || report.Incarnation == r.last.Incarnation || report.Since > r.last.Since ||
		now.Sub(r.at) > scanedge.Lease
}

// of is what the edge shows of an issuer, nil if it said nothing.
func (r *reported) of(issuer string) *scanedge.EdgeIssuerStatus {
	shown := statusOf(&r.last, issuer)
	if shown == nil || len(r.last.Beside) == 0 {
		return shown
	}
	both := *shown
	for _, id := range r.last.Beside {
		if r.beside == nil || r.beside.Incarnation != id {
			both.Offset, both.Ready, both.Agrees, both.Vouching = 0, false, false, false
			both.Why = "another process of this edge answers scans too, and has not reported"
		} else if other := statusOf(r.beside, issuer); other != nil {
			both = worse(both, *other)
		}
	}
	return &both
}

// worse is what two processes of an edge show together.
func worse(a, b scanedge.EdgeIssuerStatus) scanedge.EdgeIssuerStatus {
	if !b.Vouching && a.Vouching || !b.Agrees && a.Agrees {
		a.Why = b.Why
	}
	a.Offset, a.AgeMS = min(a.Offset, b.Offset), max(a.AgeMS, b.AgeMS)
	a.Ready, a.Agrees, a.Vouching = a.Ready && b.Ready, a.Agrees && b.Agrees, a.Vouching && b.Vouching
	return a
}

func statusOf(r *access.Report, issuer string) *scanedge.EdgeIssuerStatus {
	i := slices.IndexFunc(r.Issuers, func(s scanedge.EdgeIssuerStatus) bool { return s.Issuer == issuer })
	if i < 0 {
		return nil
	}
	return &r.Issuers[i]
}

// holds reports whether the edge, which is e, holds an issuer, or will.
func (r *reported) holds(e enrol.Edge, issuer string) bool {
	return e.May(issuer) && (len(r.last.Holds) == 0 || slices.Contains(r.last.Holds, issuer))
}

// silentFor is how long nothing was heard.
func (r *reported) silentFor(now time.Time) time.Duration {
	if r.at.IsZero() {
		return now.Sub(r.since)
	}
	return now.Sub(r.at)
}
