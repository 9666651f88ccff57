package origin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
)

func infoOf(pusher string) delta.Info { return delta.Info{Pusher: pusher} }

func reds(before, n int) tally {
	t := tally{before: before}
	t.changed[cache.Red] = n
	return t
}

func TestMaxChange(t *testing.T) {
	m := scanedge.MaxChange{Bad: 0.05, All: 0.20, Floor: 1000}
	for _, c := range []struct {
		bad, all, before int
		want             string
	}{
		{1000, 1000, 1000, ""},                      // the floor itself
		{1001, 1001, 1001, "red or void"},           // and one more
		{5000, 5000, 100_000, ""},                   // the share itself
		{5001, 5001, 100_000, "red or void"},        // and one more
		{0, 20_000, 100_000, ""},                    //
		{0, 20_001, 100_000, "another status"},      //
		{5000, 20_001, 100_000, "another status"},   //
		{900, 25_000, 100_000, "another status"},    // each by itself
		{2000, 2000, 0, ""},                         // nothing was there: all of it is new
		{2000, 2000, 500, ""},                       // more than were there can't have changed, and 500 are under the floor
		{45_000_001, 45_000_001, 900_000_000, "5."}, //
	} {
		if got := m.Exceeded(c.bad, c.all, c.before); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// What one token pushes within a window counts together, and the pieces of a file for a day, whatever they are split into.
func TestAccounts(t *testing.T) {
	m := scanedge.MaxChange{Bad: 0.05, All: 0.20, Floor: 1000}
	now := time.Unix(1_800_000_000, 0)
	one := func(run string) *push { return &push{from: caller{"one", "one"}, run: run} }

	var a accounts
	for i := range 5 {
		if why := a.charge(one(""), reds(100_000, 1000), m, now.Add(time.Duration(i)*10*time.Second)); why != "" {
			t.Fatalf("push %d: %s", i, why)
		}
	}
	soon := now.Add(50 * time.Second)
	if why := a.charge(one(""), reds(100_000, 1), m, soon); !strings.Contains(why, "same token") {
		t.Errorf("one more: %q", why)
	}
	if why := a.charge(&push{from: caller{"two", "one"}}, reds(100_000, 1), m, soon); why != "" {
		t.Errorf("another token: %s", why)
	}
	if why := a.charge(one(""), reds(100_000, 1), m, now.Add(windowOf+time.Second)); why == "" {
		t.Error("the window before counts still")
	}
	if why := a.charge(one(""), reds(100_000, 5000), m, now.Add(3*windowOf)); why != "" {
		t.Errorf("after the window: %s", why)
	}

	a = accounts{}
	for i := range 5 { // slower than a window
		if why := a.charge(one("f"), reds(100_000, 1000), m, now.Add(time.Duration(i)*time.Hour)); why != "" {
			t.Fatalf("piece %d: %s", i, why)
		}
	}
	later := now.Add(23 * time.Hour)
	if why := a.charge(one("f"), reds(100_000, 1), m, later); !strings.Contains(why, "same file") {
		t.Errorf("one piece more: %q", why)
	}
	if why := a.charge(one("g"), reds(100_000, 1), m, later); why != "" {
		t.Errorf("another file: %s", why)
	}
	if why := a.charge(one("f"), reds(100_000, 1), m, now.Add(runFor)); why != "" {
		t.Errorf("after a day: %s", why)
	}

	a = accounts{}
	a.charge(one("f"), reds(100_000, 5000), m, now)
	a.forgive(one("f"))
	if why := a.charge(one("f"), reds(100_000, 5000), m, now); why != "" {
		t.Errorf("after an approval: %s", why)
	}
	p := one("f")
	a.refund(p, reds(100_000, 5000))
	if why := a.charge(p, reds(100_000, 5000), m, now); why != "" {
		t.Errorf("after a refund: %s", why)
	}

	a = accounts{} // a file that adds subjects can't make room for what it does to those that were there
	added := tally{before: 10_000, added: 1_000_000}
	a.charge(one("f"), added, m, now)
	if why := a.charge(one("f"), reds(1_010_000, 2000), m, now.Add(time.Hour)); !strings.Contains(why, "2000 of 10000") {
		t.Errorf("%q", why)
	}
	a = accounts{} // the first load of an issuer is all new, though some of it comes twice
	a.charge(one("f"), tally{added: 200_000}, m, now)
	if why := a.charge(one("f"), reds(200_000, 5000), m, now); why != "" {
		t.Errorf("a first load: %s", why)
	}
}

func TestRunsAreBounded(t *testing.T) {
	var a accounts
	m := scanedge.MaxChange{Bad: 1, All: 1}
	now := time.Unix(1_800_000_000, 0)
	for i := range runsKept + 10 {
		a.charge(&push{run: fmt.Sprint(i)}, reds(10, 1), m, now.Add(time.Duration(i)*time.Second))
	}
	if _, oldest := a.runs[runID{"", "9"}]; len(a.runs) != runsKept || oldest {
		t.Errorf("%d runs, the oldest among them: %v", len(a.runs), oldest)
	}
}
