package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/replica"
)

func TestReportOf(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		report replica.Report
		vouch  bool
		why    string
	}{
		"nothing yet":        {replica.Report{}, false, "not caught up"},
		"fetching":           {replica.Report{Why: "fetching a snapshot"}, false, "fetching"},
		"all is well":        {replica.Report{Beat: now.Add(-time.Second), Why: "a record was refused"}, true, ""},
		"past the lease":     {replica.Report{Beat: now.Add(-4 * time.Second)}, false, "no beat"},
		"refused and past":   {replica.Report{Beat: now.Add(-4 * time.Second), Why: "refused"}, false, "refused"},
		"suspect, but young": {replica.Report{Beat: now, Suspect: true, Why: "memory of shard 7"}, false, "shard 7"},
	} {
		c.report.Issuer = "demo-a"
		got := reportOf(c.report, now)
		if got.Vouching != c.vouch || !strings.Contains(got.Why, c.why) || c.vouch && got.Why != "" {
			t.Errorf("%s: %+v", name, got)
		}
		b, err := json.Marshal(got)
		if err != nil || strings.Contains(string(b), "age_ms") == c.report.Beat.IsZero() || strings.Contains(string(b), "scrub") {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
	full := reportOf(replica.Report{Beat: now, Scrubbed: now.Add(-time.Minute), ScrubTook: time.Second, Kept: now.Add(-time.Hour), KeptOffset: 9}, now)
	if *full.ScrubAgeS != 60 || *full.ScrubPassS != 1 || *full.SnapshotAgeS != 3600 || *full.SnapshotOffset != 9 {
		t.Errorf("%+v", full)
	}
}
