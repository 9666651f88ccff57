package access

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scanedge/scanedge/edge/limit"
)

// keysOf is a control that names scanner keys, by secret, and their ids.
func keysOf(ids map[string]string) Control {
	c := Control{ScannerKeys: map[Hash]string{}, ScannerIDs: map[Hash]string{}}
	for secret, id := range ids {
		c.ScannerKeys[HashOf([]byte(secret))] = secret
		if id != "" {
			c.ScannerIDs[HashOf([]byte(secret))] = id
		}
	}
	return c
}

func learn(u *Uses, c Control) {
	u.Learn(c, func(Limits, bool) *limit.Rules { return nil })
}

// Uses of a token's secrets are the token's, and outlive what the origin says next, for as long as it names the token.
func TestUsesOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u Uses
		admits := func(want bool, secrets ...string) {
			t.Helper()
			for _, s := range secrets {
				if _, known := u.Admit([]byte(s), time.Now()); known != want {
					t.Errorf("%s: %v", s, !want)
				}
			}
		}
		admits(false, "old", "")
		if got := u.News(map[string]int64{}, 10); len(got) != 0 {
			t.Errorf("%v", got)
		}
		learn(&u, keysOf(map[string]string{"old": "gate", "new": "gate", "other": "door", "nameless": ""}))
		sent := map[string]int64{}
		if got := u.News(sent, 10); len(got) != 0 {
			t.Errorf("before any: %v", got)
		}
		admits(true, "old", "nameless")
		admits(false, "nobody", "")
		first := time.Now().Unix()
		if got := u.News(sent, 10); len(got) != 1 || got["gate"] != first {
			t.Errorf("%v", got)
		}
		if got := u.News(sent, 10); len(got) != 0 {
			t.Errorf("told twice: %v", got)
		}
		time.Sleep(time.Second)
		admits(true, "new")
		learn(&u, keysOf(map[string]string{"new": "gate", "other": "door"}))
		admits(false, "old", "nameless")
		if got := u.News(sent, 10); len(got) != 1 || got["gate"] != first+1 {
			t.Errorf("%v", got)
		}
		admits(true, "other")
		if got := u.News(map[string]int64{}, 1); len(got) != 1 {
			t.Errorf("more than it may: %v", got)
		}
		if got := u.News(map[string]int64{}, 10); len(got) != 2 { // to an origin that starts anew
			t.Errorf("%v", got)
		}
		learn(&u, keysOf(nil))
		admits(false, "new", "other")
		if got := u.News(map[string]int64{}, 10); len(got) != 0 {
			t.Errorf("of tokens that are gone: %v", got)
		}
	})
}

// Many keys are met in any order, more than once, and no other is ever taken for one of them.
func TestEachOfManyKeys(t *testing.T) {
	var u Uses
	names := map[string]string{}
	for i := range 500 {
		names[fmt.Sprint("key-", i)] = fmt.Sprint("gate-", i)
	}
	learn(&u, keysOf(names))
	at := time.Unix(1_800_000_000, 0)
	for i := range 20_000 {
		n := i * 7919 % 1000
		d := u.doors.Load().of(fmt.Append(nil, "key-", n))
		if (d != nil) != (n < 500) || d != nil && d.id != fmt.Sprint("gate-", n) {
			t.Fatalf("key-%d is %+v", n, d)
		}
	}
	key := []byte("key-7")
	if n := testing.AllocsPerRun(100, func() { u.Admit(key, at) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	delete(names, "key-7")
	learn(&u, keysOf(names))
	if _, known := u.Admit(key, at); known {
		t.Error("admitted when it was gone")
	}
}

func BenchmarkAdmit(b *testing.B) {
	var u Uses
	learn(&u, keysOf(map[string]string{"scan-abcdefghijklmnopqrstuvwxyz": "gate"}))
	key, at := []byte("scan-abcdefghijklmnopqrstuvwxyz"), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		u.Admit(key, at)
	}
}

// Keys are used while others are learned and told.
func TestUsesAtOnce(t *testing.T) {
	var u Uses
	learn(&u, keysOf(map[string]string{"key": "gate"}))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if _, known := u.Admit([]byte("key"), time.Now()); !known {
					t.Error("not admitted")
				}
			}
		})
	}
	for range 100 {
		learn(&u, keysOf(map[string]string{"key": "gate"}))
		u.News(map[string]int64{}, 10)
	}
	wg.Wait()
	if got := u.News(map[string]int64{}, 10); got["gate"] == 0 {
		t.Errorf("%v", got)
	}
}

// A key has its token's limits, by whichever secret, and keeps what it did when they change.
func TestLimitsOfKeys(t *testing.T) {
	var u Uses
	rules := func(l Limits, own bool) *limit.Rules {
		if !own {
			return limit.New(limit.Limits{Rate: 1, Burst: 7})
		}
		made := limit.Limits{Rate: l.Rate, Burst: l.Burst}
		if l.Guard {
			made.Guard = limit.Guard{Forgiven: 1, SlowAfter: 1, SlowTo: 1, LockAfter: 2, LockFor: time.Minute}
		}
		return limit.New(made)
	}
	c := keysOf(map[string]string{"old": "gate", "new": "gate", "unsaid": "door", "free": "hall"})
	c.ScannerLimits = map[string]Limits{"gate": {Rate: 1, Burst: 5}, "hall": {}}
	u.Learn(c, rules)
	take := func(secret string, n int, want limit.Why) {
		t.Helper()
		caller, known := u.Admit([]byte(secret), time.Now())
		if why, _ := caller.Take(n, int64(time.Second)); !known || why != want {
			t.Errorf("%s: %v, %d not %d", secret, known, why, want)
		}
	}
	take("old", 3, limit.No)
	take("new", 2, limit.No)
	take("new", 1, limit.TooFast)
	take("unsaid", 7, limit.No)
	take("unsaid", 1, limit.TooFast)
	take("free", 10_000, limit.No)
	c.ScannerLimits = map[string]Limits{"gate": {Rate: 1, Burst: 6, Guard: true}, "hall": {Rate: 1, Burst: 1}}
	u.Learn(c, rules)
	take("old", 1, limit.No)
	take("old", 1, limit.TooFast)
	take("free", 1, limit.No)
	take("free", 1, limit.TooFast)
	caller, _ := u.Admit([]byte("old"), time.Now())
	caller.Bad(2, int64(time.Second))
	if got := u.Locked(int64(time.Second)); len(got) != 1 || got[0] != "new" && got[0] != "old" {
		t.Errorf("locked out: %q", got)
	}
	take("new", 1, limit.LockedOut)
}
