package origin

import (
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
)

// said is a report of a process of an edge that shows an offset.
func said(id string, since int64, offset uint64, beside ...string) access.Report {
	return access.Report{Incarnation: id, Since: since, Beside: beside, Scans: offset, Issuers: []scanedge.EdgeIssuerStatus{
		{Issuer: "gz", Offset: offset, Ready: true, Agrees: true, Vouching: true},
	}}
}

// The reports of two processes of an edge, in every order in which they can come: what the edge is said to show, and who is in charge.
func TestTwoProcessesOfAnEdge(t *testing.T) {
	type heard struct {
		r      access.Report
		after  time.Duration // the one before
		charge string
		shows  uint64
	}
	for name, story := range map[string][]heard{
		"handed over": {
			{said("old", 1, 10), 0, "old", 10},
			{said("new", 2, 12, "old"), 0, "new", 10},
			{said("old", 1, 11, "new"), 0, "new", 11},
			{said("new", 2, 14, "old"), 0, "new", 11},
			{said("old", 1, 13, "new"), 0, "new", 13},
			{said("new", 2, 14), 0, "new", 14},
			{said("old", 1, 13, "new"), 0, "new", 14}, // late: it is done with
			{said("new", 2, 15), 0, "new", 15},
		},
		"the new one dies before it is in charge": {
			{said("old", 1, 10), 0, "old", 10}, {said("old", 1, 11), 0, "old", 11},
		},
		"the new one dies when it has reported": {
			{said("old", 1, 10), 0, "old", 10},
			{said("new", 2, 12, "old"), 0, "new", 10},
			{said("old", 1, 11, "new"), 0, "new", 11},
			{said("old", 3, 12), 0, "old", 12}, // took it back
		},
		"the origin starts anew meanwhile, and hears the old one first": {
			{said("old", 1, 10, "new"), 0, "old", 0},
			{said("new", 2, 9, "old"), 0, "new", 9},
		},
		"and the new one first": {
			{said("new", 2, 9, "old"), 0, "new", 0},
			{said("old", 1, 8, "new"), 0, "new", 8},
		},
		"the old one is cut off from the origin, and answers scans": {
			{said("old", 1, 10), 0, "old", 10},
			{said("new", 2, 12, "old"), 0, "new", 10},
			{said("new", 2, 20, "old"), time.Minute, "new", 10},
			{said("new", 2, 21), 0, "new", 21},
		},
		"a plain restart": {
			{said("old", 1, 10), 0, "old", 10}, {said("new", 2, 8), 0, "new", 8}, {said("old", 1, 10), 0, "new", 8},
		},
		"a plain restart with a clock set back": {
			{said("old", 5, 10), 0, "old", 10},
			{said("new", 2, 12), time.Second, "old", 10}, // it could be a late line of a process before
			{said("new", 2, 12), 3 * time.Second, "new", 12},
			{said("new", 2, 13), 0, "new", 13},
		},
		"a release that knows no incarnations": {
			{said("new", 2, 10), 0, "new", 10}, {said("", 0, 4), 0, "", 4}, {said("", 0, 5), 0, "", 5}, {said("new", 3, 6), 0, "new", 6},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, now := new(reported), time.Now()
			for i, h := range story {
				now = now.Add(h.after)
				r.take(h.r, now)
				if got := r.of("gz"); r.last.Incarnation != h.charge || got.Offset != h.shows || got.Ready != (h.shows > 0) {
					t.Fatalf("report %d: %q is in charge and %d is shown, want %q and %d", i, r.last.Incarnation, got.Offset, h.charge, h.shows)
				}
			}
		})
	}
}

// What one of two processes does not know or vouch for, the edge does not.
func TestTheWorseOfTwoProcessesCounts(t *testing.T) {
	r, now := new(reported), time.Now()
	old := said("old", 1, 10)
	old.Issuers[0].Vouching, old.Issuers[0].Why, old.Issuers[0].AgeMS = false, "it is old", 4000
	r.take(old, now)
	r.take(said("new", 2, 9, "old"), now)
	if got := r.of("gz"); got.Vouching || got.Why != "it is old" || got.AgeMS != 4000 || got.Offset != 9 || !got.Agrees || !got.Ready {
		t.Errorf("%+v", got)
	}
	if r.of("other") != nil {
		t.Error("something is known of an issuer that nobody spoke of")
	}
}
