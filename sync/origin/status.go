package origin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/enrol"
)

// serveStatus answers GET /v1/status.
func (o *Origin) serveStatus(rw http.ResponseWriter, _ *http.Request) {
	writeJSON(rw, o.status(time.Now()))
}

// status is what is known of the fleet, and what of it is not as it should be: first issuers that nobody can
// push to, then edges, for they answer scans.
func (o *Origin) status(now time.Time) scanedge.FleetStatus {
	s := scanedge.FleetStatus{State: scanedge.Healthy, At: now.UTC(), Version: o.cfg.Version, Issuers: []scanedge.IssuerStatus{},
		Edges: []scanedge.EdgeStatus{}}
	writers := o.sorted()
	s.Why = o.ailing()
	var why []string
	for _, e := range o.enrolled.registry.Edges() {
		shown, ails := o.edgeStatus(e, writers, now)
		s.Edges, s.Why = append(s.Edges, shown), append(s.Why, ails.worst...)
		why = append(why, ails.others...)
	}
	for _, w := range writers {
		s.Issuers = append(s.Issuers, o.issuerStatus(w, s.Edges))
		s.Why = append(s.Why, w.ails(now)...)
	}
	if s.Why = append(s.Why, why...); len(s.Why) > 0 {
		s.State = scanedge.Degraded
	}
	return s
}

// ailments are sentences on what degrades a fleet: that an edge is silent, and all else.
type ailments struct{ worst, others []string }

func (o *Origin) edgeStatus(e enrol.Edge, writers []*writer, now time.Time) (s scanedge.EdgeStatus, a ailments) {
	state, r := o.fleet.stateOf(e, now)
	s = scanedge.EdgeStatus{Edge: e.Name, State: state, Version: r.last.Version, Scans: r.last.Scans, ScansPerSecond: r.last.ScansPerSecond,
		Issuers: []scanedge.EdgeIssuerStatus{}}
	switch {
	case state == scanedge.EdgeNever:
		s.Why = "it has not joined yet; its token is good for 15 minutes from " + e.Enrolled.UTC().Format(time.RFC3339)
	case state == scanedge.EdgeRevoked:
		s.Why = "revoked at " + e.Revoked.UTC().Format(time.RFC3339)
	case r.at.IsZero():
		s.Why = "it has not reported since this origin started or it joined, " + since(now, r.since)
	case state == scanedge.EdgeSilent:
		s.Why = "it reported last " + since(now, r.at)
	}
	if state == scanedge.EdgeSilent {
		a.worst = append(a.worst, fmt.Sprintf("edge %s is silent: %s", e.Name, s.Why))
	}
	if r.at.IsZero() {
		return s, a
	}
	age := now.Sub(r.at).Milliseconds()
	s.ReportedAgeMS = &age
	for _, said := range r.last.Issuers {
		t := *r.of(said.Issuer)
		if t.Ready {
			t.AgeMS += age
			t.ScrubAgeMS += age
		}
		s.Issuers = append(s.Issuers, t)
	}
	if state == scanedge.EdgeLive {
		a.others = ailing(e, &r, writers)
	}
	return s, a
}

func since(now, then time.Time) string { return now.Sub(then).Round(time.Second).String() + " ago" }

// ailing says what is wrong with the tables of an edge that reports.
func ailing(e enrol.Edge, r *reported, writers []*writer) (why []string) {
	for _, w := range writers {
		id := w.secret.ID
		if !r.holds(e, id) {
			continue
		}
		switch t := r.of(id); {
		case t == nil || !t.Ready:
			why = append(why, fmt.Sprintf("edge %s has not caught up with %s yet", e.Name, id))
		case !t.Agrees:
			why = append(why, fmt.Sprintf("edge %s does not agree with the origin on %s: %s", e.Name, id, t.Why))
		case !t.Vouching:
			why = append(why, fmt.Sprintf("edge %s does not vouch for %s: %s", e.Name, id, t.Why))
		case t.ScrubEveryMS > 0 && t.ScrubAgeMS > 2*t.ScrubEveryMS:
			why = append(why, fmt.Sprintf("edge %s has not read its table of %s again for %v, though it is to in %v", e.Name, id,
				time.Duration(t.ScrubAgeMS)*time.Millisecond, time.Duration(t.ScrubEveryMS)*time.Millisecond))
		}
	}
	return why
}

// issuerStatus is an issuer beside what edges show of it.
func (o *Origin) issuerStatus(w *writer, edges []scanedge.EdgeStatus) scanedge.IssuerStatus {
	s := scanedge.IssuerStatus{
		Issuer: w.secret.ID, Offset: w.offset.Load(), Count: uint64(w.table.Len()), Digest: w.table.Digest().String(),
		LogBytes: w.snapshots.logBytes.Load(), LogFirst: w.snapshots.logFirst.Load(), LogLast: w.snapshots.logLast.Load(),
		Held: len(w.held.all()),
	}
	if f := w.snapshots.newest.Load(); f != nil {
		at := f.Time.UTC()
		s.SnapshotOffset, s.SnapshotBytes, s.SnapshotAt = f.Began.Offset, uint64(f.Size()), &at
	}
	for _, e := range edges {
		for _, t := range e.Issuers {
			if e.State == scanedge.EdgeLive && t.Issuer == s.Issuer && (s.ReachedAll == nil || t.Offset < *s.ReachedAll) {
				s.ReachedAll = &t.Offset
			}
		}
	}
	return s
}

// ails says what is wrong with an issuer at its origin.
func (w *writer) ails(now time.Time) (why []string) {
	if err := w.ailing.Load(); err != nil {
		why = append(why, fmt.Sprintf("the log of %s takes nothing: %v", w.secret.ID, *err))
	}
	switch err, overdue := w.snapshots.trouble.Load(), w.snapshots.overdue(now); {
	case err != nil:
		why = append(why, fmt.Sprintf("the last snapshot of %s failed: %v", w.secret.ID, *err))
	case overdue > 0:
		why = append(why, fmt.Sprintf("a snapshot of %s is overdue by %v", w.secret.ID, overdue.Round(time.Second)))
	}
	return why
}
