package origin

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/issuer"
)

// whys are what degrades a fleet at a moment.
func (o *Origin) whys(t *testing.T, now time.Time) []string {
	t.Helper()
	s := o.status(now)
	if want := map[bool]string{true: scanedge.Healthy, false: scanedge.Degraded}[len(s.Why) == 0]; s.State != want {
		t.Errorf("%s, with %q", s.State, s.Why)
	}
	return s.Why
}

// What an edge says of its tables degrades the fleet or does not.
func TestTablesThatDegradeAFleet(t *testing.T) {
	o := openTLS(t, "demo-a", "demo-b")
	o.join("one", "demo-a")
	second := time.Second.Milliseconds()
	for want, change := range map[string]func(*scanedge.EdgeIssuerStatus){
		"": func(*scanedge.EdgeIssuerStatus) {},
		"edge one has not caught up with demo-a yet": func(s *scanedge.EdgeIssuerStatus) { s.Ready, s.Agrees, s.Vouching = false, false, false },
		"edge one does not agree with the origin on demo-a: shard 7": func(s *scanedge.EdgeIssuerStatus) {
			s.Agrees, s.Vouching, s.Why = false, false, "shard 7"
		},
		"edge one does not vouch for demo-a: no beat": func(s *scanedge.EdgeIssuerStatus) { s.Vouching, s.Why = false, "no beat" },
		"edge one has not read its table of demo-a again for 20.001s, though it is to in 10s": func(s *scanedge.EdgeIssuerStatus) {
			s.ScrubAgeMS, s.ScrubEveryMS = 20*second+1, 10*second
		},
	} {
		s := shows("demo-a", 1)
		s.ScrubAgeMS = 2 * s.ScrubEveryMS // just in time
		change(&s)
		o.fleet.put("one", access.Report{Issuers: []scanedge.EdgeIssuerStatus{s}}, always)
		if got := strings.Join(o.whys(t, time.Now()), "; "); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	o.fleet.put("one", access.Report{}, always)
	if got := o.whys(t, time.Now()); len(got) != 1 || got[0] != "edge one has not caught up with demo-a yet" {
		t.Errorf("of an edge that says nothing of its issuer: %q", got)
	}
	o.join("chosen", "*")
	o.fleet.says("one", 1)
	o.fleet.says("chosen", 1, "demo-a")
	if got := o.whys(t, time.Now()); len(got) != 0 {
		t.Errorf("of an edge that does not hold demo-b, as it chose: %q", got)
	}
}

// What is worst stands first: silent edges, then issuers, then tables. Ages go on after a report, those of a table that has any.
func TestStatusOfAFleet(t *testing.T) {
	setFor(t, &snapshotLook, time.Hour) // or it would mend what is broken here
	o := openTLS(t, "demo-a", "demo-b")
	for _, name := range []string{"a", "b", "c", "gone"} {
		o.join(name, "*")
	}
	o.enrol("new", `{"issuers":["*"]}`)
	call(o.API(), "DELETE", "/v1/edges/gone", o.tokens.Admin, "")
	at := time.Now()
	for name, offsets := range map[string][2]uint64{"a": {7, 3}, "b": {5, 4}, "c": {1, 1}} {
		unready := scanedge.EdgeIssuerStatus{Issuer: "demo-b", Offset: offsets[1]}
		o.fleet.put(name, access.Report{Version: "v", Scans: 9, ScansPerSecond: 1.5, Issuers: []scanedge.EdgeIssuerStatus{shows("demo-a", offsets[0]), unready}},
			always)
		o.fleet.mu.Lock()
		o.fleet.edges[name].at = at.Add(-time.Second)
		o.fleet.mu.Unlock()
	}
	o.fleet.edges["c"].at = at.Add(-time.Minute)
	broken := errors.New("no room")
	o.writer("demo-b").snapshots.trouble.Store(&broken)

	s := o.status(at)
	want := []string{"edge c is silent: it reported last 1m0s ago", "the last snapshot of demo-b failed: no room",
		"edge a has not caught up with demo-b yet", "edge b has not caught up with demo-b yet"}
	if s.State != scanedge.Degraded || !slices.Equal(s.Why, want) {
		t.Errorf("%s %q", s.State, s.Why)
	}
	var states []string
	for _, e := range s.Edges {
		states = append(states, e.Edge+" "+e.State)
	}
	if got := strings.Join(states, ", "); got != "a live, b live, c silent, gone revoked, new never" {
		t.Error(got)
	}
	a := s.Edges[0]
	if a.ReportedAgeMS == nil || *a.ReportedAgeMS != 1000 || a.Issuers[0].AgeMS != 1000 || a.Issuers[0].ScrubAgeMS != 1000 ||
		a.Issuers[1].AgeMS != 0 || a.Issuers[1].ScrubAgeMS != 0 || a.Version != "v" || a.Scans != 9 || a.ScansPerSecond != 1.5 {
		t.Errorf("%+v", a)
	}
	for _, e := range s.Edges[3:] {
		if e.ReportedAgeMS != nil || len(e.Issuers) != 0 || e.Issuers == nil || e.Why == "" {
			t.Errorf("%+v", e)
		}
	}
	if i := s.Issuers; *i[0].ReachedAll != 5 || *i[1].ReachedAll != 3 { // the silent one holds nobody up
		t.Errorf("%d, %d", *i[0].ReachedAll, *i[1].ReachedAll)
	}
	for _, name := range []string{"a", "b"} {
		call(o.API(), "DELETE", "/v1/edges/"+name, o.tokens.Admin, "")
	}
	if i := o.status(at).Issuers; i[0].ReachedAll != nil || i[1].ReachedAll != nil {
		t.Errorf("without live edges: %+v", i)
	}
}

// An issuer as the status has it: where its table and log are, its newest snapshot, what waits for approval.
func TestStatusOfAnIssuer(t *testing.T) {
	o := withTen(t, t.TempDir())
	receipt := pushOK(t, o, "demo-a", "subject,status\nx0,yellow\n")
	heldPushOf(t, o, rows(3, "red"))
	w := o.writers["demo-a"]
	s := o.status(time.Now()).Issuers[0]
	if s.Issuer != "demo-a" || s.Count != 10 || s.Digest != w.table.Digest().String() || s.Held != 1 || s.SnapshotAt != nil || s.Offset != receipt.Offset {
		t.Errorf("%+v", s)
	}
	take(t, o)
	f := w.snapshots.newest.Load()
	s = o.status(time.Now()).Issuers[0]
	if s.SnapshotAt == nil || !s.SnapshotAt.Equal(f.Time) || s.SnapshotOffset != f.Began.Offset || s.SnapshotBytes != uint64(f.Size()) {
		t.Errorf("%+v, not %+v", s, f)
	}
	if o.status(time.Now()).State != scanedge.Healthy {
		t.Error("a held push degrades nothing: somebody is to look at it")
	}
	rec := call(o.API(), "GET", "/v1/status", o.tokens.Admin, "")
	var got map[string]json.RawMessage
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 || string(got["edges"]) != "[]" {
		t.Errorf("%d %s: %v", rec.Code, rec.Body, err)
	}
}

// What is wrong with an issuer at its origin.
func TestIssuersThatDegradeAFleet(t *testing.T) {
	now, broken := time.Now(), errors.New("no room")
	for want, change := range map[string]func(*writer){
		"": func(*writer) {},
		"the log of demo-a takes nothing: no room":    func(w *writer) { w.ailing.Store(&broken) },
		"the last snapshot of demo-a failed: no room": func(w *writer) { w.snapshots.trouble.Store(&broken) },
		"a snapshot of demo-a is overdue by 1s":       func(w *writer) { w.snapshots.began = now.Add(-2*time.Hour - time.Second) },
		"the log of demo-a takes nothing: no room; the last snapshot of demo-a failed: no room": func(w *writer) {
			w.ailing.Store(&broken)
			w.snapshots.trouble.Store(&broken)
			w.snapshots.began = now.Add(-3 * time.Hour)
		},
	} {
		w := &writer{secret: &issuer.Secret{ID: "demo-a"}}
		w.snapshots = &snapshots{w: w, every: time.Hour, began: now.Add(-2 * time.Hour)}
		change(w)
		if got := strings.Join(w.ails(now), "; "); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	w := &writer{secret: &issuer.Secret{ID: "demo-a"}}
	w.snapshots = &snapshots{w: w, began: now.Add(-1000 * time.Hour)}
	if got := w.ails(now); len(got) != 0 {
		t.Errorf("where only growth counts: %q", got)
	}
}
