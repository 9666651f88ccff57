package edge

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
)

// Each scan counts once, for its issuer and what it ended in: for none, if it names none that is held or was not let in.
func TestScansAreCountedByIssuerAndOutcome(t *testing.T) {
	s := serving(t)
	conn := dial(t, s)
	for _, code := range []string{"demo-a:g", "demo-a:g", "demo-a:r", "demo-a:old", "demo-a:none", "demo-c:g", "demo-b:g", "nocolon"} {
		ask(t, conn, "GET /v1/scan/"+code, "", auth)
	}
	ask(t, conn, "GET /v1/scan/demo-a:g", "")
	ask(t, conn, "POST /v1/scan", "demo-a:g\ndemo-a:v\n\n", auth)
	s.Hold([]string{"demo-b"})
	ask(t, conn, "GET /v1/scan/demo-a:g", "", auth)
	s.Hold([]string{"demo-a", "demo-b"}) // the counters go on where they were
	ask(t, conn, "GET /v1/scan/demo-a:g", "", auth)

	var text bytes.Buffer
	s.set.WritePrometheus(&text)
	for series, want := range map[[2]string]int{
		{"demo-a", "green"}: 3, {"demo-a", "red"}: 1, {"demo-a", "lapsed"}: 1, {"demo-a", "void"}: 1, {"demo-a", "yellow"}: 0,
		{"demo-a", "unknown-subject"}: 1, {"demo-a", "not-ready"}: 1, {"demo-b", "not-ready"}: 1, {"", "not-ready"}: 0,
		{"", "issuer-not-held"}: 2, {"", "malformed-code"}: 2, {"", "no-key"}: 1, {"demo-a", "no-key"}: 0,
	} {
		if line := fmt.Sprintf("scanedge_scans_total{issuer=%q,outcome=%q} %d\n", series[0], series[1], want); !strings.Contains(text.String(), line) {
			t.Errorf("not %s", line)
		}
	}
	if s.Scans() != 14 {
		t.Errorf("%d scans", s.Scans())
	}
}

// An outcome is a status as it is stored, or a problem that there is.
func TestOutcomesAreWords(t *testing.T) {
	for o := range outcomes {
		switch {
		case o < lapsed && cache.Status(o).String() != words[o], o.refused() && (o.problem().Title() == "" || problemBodies[o.problem()] == nil):
			t.Errorf("%d: %q", o, words[o])
		}
	}
	r, _ := cache.NewRecord(cache.Void, 0, time.Unix(1_700_000_040, 0))
	if statusAt(r, 1_700_000_039) != void || statusAt(r, 1_700_000_040) != lapsed || lapsed.String() != string(scanedge.Lapsed) {
		t.Error("a record does not lapse at its until")
	}
}
