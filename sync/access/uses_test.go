package access

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
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

// Uses of a token's secrets are the token's, and outlive what the origin says next, for as long as it names the token.
func TestUsesOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u Uses
		admits := func(want bool, secrets ...string) {
			t.Helper()
			for _, s := range secrets {
				if u.Admit([]byte(s)) != want {
					t.Errorf("%s: %v", s, !want)
				}
			}
		}
		admits(false, "old", "")
		if got := u.News(map[string]int64{}, 10); len(got) != 0 {
			t.Errorf("%v", got)
		}
		u.Learn(keysOf(map[string]string{"old": "gate", "new": "gate", "other": "door", "nameless": ""}))
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
		u.Learn(keysOf(map[string]string{"new": "gate", "other": "door"}))
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
		u.Learn(keysOf(nil))
		admits(false, "new", "other")
		if got := u.News(map[string]int64{}, 10); len(got) != 0 {
			t.Errorf("of tokens that are gone: %v", got)
		}
	})
}

// Keys are used while others are learned and told.
func TestUsesAtOnce(t *testing.T) {
	var u Uses
	u.Learn(keysOf(map[string]string{"key": "gate"}))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if !u.Admit([]byte("key")) {
					t.Error("not admitted")
				}
			}
		})
	}
	for range 100 {
		u.Learn(keysOf(map[string]string{"key": "gate"}))
		u.News(map[string]int64{}, 10)
	}
	wg.Wait()
	if got := u.News(map[string]int64{}, 10); got["gate"] == 0 {
		t.Errorf("%v", got)
	}
}
