package main

import (
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/enrol"
)

// What people see of an edge is what it can do now.
func TestEdgesAreShownByWhatTheyCanDo(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for want, e := range map[string]enrol.Edge{
		"enrolled":      {Enrolled: ago(enrol.TokenLife - time.Second)},
		"token expired": {Enrolled: ago(enrol.TokenLife + time.Second)},
		"joined":        {Enrolled: ago(time.Hour), Joined: ago(time.Hour)},
		"revoked":       {Enrolled: ago(time.Hour), Joined: ago(time.Hour), Revoked: ago(time.Minute)},
	} {
		var out strings.Builder
		e.Name, e.Issuers = "gate-3", []string{"gz"}
		if err := showEdges(&out, []enrol.Edge{e}, now); err != nil {
			t.Fatal(err)
		}
		if _, line, _ := strings.Cut(out.String(), "\n"); !strings.HasPrefix(line, "gate-3  gz       "+want+"  ") {
			t.Errorf("%s: %q", want, line)
		}
	}
}
