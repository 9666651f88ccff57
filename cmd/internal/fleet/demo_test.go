package fleet

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// readAs is what a scan of a delta's subject answers on a day long after 2020.
func readAs(d scanedge.Delta) scanedge.Status {
	if !d.Until.IsZero() && d.Until.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		return scanedge.Lapsed
	}
	return d.Status
}

func TestDemoPopulationIsWhatIsPromised(t *testing.T) {
	model := population(3001) // dealt like cards
	for i, n := range DemoSplit(3001) {
		issuer := model[DemoIssuers[i]]
		if n != len(issuer) {
			t.Errorf("%s has %d of 3001 subjects, want %d", DemoIssuers[i], n, len(issuer))
		}
		for k := 1; k <= n; k++ {
			want, ok := issuer[DemoSubject(k)]
			if got := DemoDelta(k); !ok || got != want {
				t.Fatalf("number %d is pushed as %+v, want %+v", k, got, want)
			}
			if got := DemoStatus(k); got != readAs(want) {
				t.Fatalf("number %d is said to be %s, reads as %s", k, got, readAs(want))
			}
		}
	}
	if got := DemoSubject(50_000_000); got != "d050000000" {
		t.Errorf("DemoSubject(50,000,000) = %q", got)
	}
}

func TestDemoSampleNamesSubjectsThatExist(t *testing.T) {
	for _, subjects := range []int{0, 1, 2, 13, 14, 58, 1_000_000} {
		model := population(min(subjects, 100))
		seen := map[string]bool{}
		for _, s := range demoSample(subjects) {
			d, ok := model[s.Issuer][s.Subject]
			if !ok || string(readAs(d)) != s.Status || s.Code != s.Issuer+":"+s.Subject {
				t.Errorf("of %d subjects: %+v, but it is %+v", subjects, s, d)
			}
			seen[s.Status] = true
		}
		if subjects >= 58 && len(seen) != 5 {
			t.Errorf("of %d subjects, the sample shows %v, want each status", subjects, seen)
		}
		if subjects == 1 && len(seen) != 1 {
			t.Errorf("the sample of one subject is %v", seen)
		}
	}
	if b, _ := json.Marshal(demoSample(0)); string(b) != "[]" {
		t.Errorf("an empty sample is written as %s", b)
	}
}

// Changes, whatever was there and whatever is wanted, must lead to exactly the population that is wanted.
func TestChangesLeadToWhatIsWanted(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		held, touched, want := rng.IntN(90), rng.IntN(90), rng.IntN(90)
		now := demoState{demoVersion, min(held, want), max(held, touched, want)}
		table := population(now.Subjects)
		for issuer, subjects := range population(now.Touched) { // beyond what is held, any may be there
			for subject, d := range subjects {
				if rng.IntN(2) == 0 {
					table[issuer][subject] = d
				}
			}
		}
		for _, list := range changes(now, want) {
			for _, c := range list {
				applyTo(t, table[c.issuer], c)
			}
		}
		got, err := json.Marshal(table)
		must(t, err)
		if wanted, _ := json.Marshal(population(want)); !bytes.Equal(got, wanted) {
			t.Fatalf("seed %d: from %+v to %d: %s", seed, now, want, got)
		}
	}
}

// applyTo reads a change as it is pushed.
func applyTo(t *testing.T, table map[string]scanedge.Delta, c change) {
	t.Helper()
	var body strings.Builder
	must(t, c.write(&body))
	if got, want := strings.Count(body.String(), "\n"), c.to-c.from; got != want {
		t.Fatalf("%v is %d lines, want %d", c, got, want)
	}
	for line := range strings.Lines(body.String()) {
		var d scanedge.Delta
		must(t, json.Unmarshal([]byte(line), &d))
		table[d.Subject] = d
		if d.Remove {
			delete(table, d.Subject)
		}
	}
}

func TestPiecesAreWholeAndBounded(t *testing.T) {
	for _, c := range []change{{"demo-a", 0, 0, false}, {"demo-a", 5, 3, false}, {"demo-a", 0, 500_000, false}, {"demo-b", 7, 500_008, true}} {
		at := c.from
		for _, p := range pieces(c) {
			if p.from != at || p.to <= p.from || p.to-p.from > pieceLines || p.remove != c.remove || p.issuer != c.issuer {
				t.Fatalf("after %d, %v has the piece %v", at, c, p)
			}
			at = p.to
		}
		if at != max(c.from, c.to) {
			t.Errorf("the pieces of %v end at %d", c, at)
		}
	}
	if got := len(pieces(change{"demo-a", 0, 500_000, false})); got != 2 {
		t.Errorf("500,000 subjects are %d pushes", got)
	}
}
