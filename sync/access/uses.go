package access

import (
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge/edge/limit"
)

// Uses is the scanner keys that an edge admits, what each may do there and when it was used last. Its zero value admits none. Admit is safe for
// concurrent use, also beside the others.
type Uses struct {
	doors atomic.Pointer[map[Hash]*use] // replaced whole
}

// use is of one token, whichever of its secrets was brought.
type use struct {
	id, name string
	caller   limit.Caller  // what was done by it is kept when its limits change
	last     *atomic.Int64 // Unix seconds; 0: never
}

// Learn makes the keys those that the origin named, under the rules that are made of their limits; own says whether the origin spoke of
// them. What it knew of a token, it keeps. One caller at a time.
func (u *Uses) Learn(c Control, rules func(l Limits, own bool) *limit.Rules) {
	before, now := map[string]*use{}, map[string]*use{}
	if doors := u.doors.Load(); doors != nil {
		for _, d := range *doors {
			before[d.id] = d
		}
	}
	doors := make(map[Hash]*use, len(c.ScannerKeys))
	for hash, name := range c.ScannerKeys {
		id := c.ScannerIDs[hash]
		d := now[id]
		if d == nil || id == "" { // an origin of before does not say
			l, own := c.ScannerLimits[id]
			d = before[id].again(id, name, rules(l, own))
			now[id] = d
		}
		doors[hash] = d
	}
	u.doors.Store(&doors)
}

// again is a use, perhaps with other rules. Of none it is a new one.
func (d *use) again(id, name string, r *limit.Rules) *use {
	if d == nil || id == "" {
		return &use{id, name, limit.NewCaller(r), new(atomic.Int64)}
	}
	return &use{id, name, d.caller.Under(r), d.last}
}

// Admit reports whether a key is one of them, notes the use, and returns who that is to be limited as. It allocates nothing, and
// writes to shared memory once a second.
func (u *Uses) Admit(key []byte) (c limit.Caller, known bool) {
	doors := u.doors.Load()
	if doors == nil {
		return c, false
	}
	d := (*doors)[HashOf(key)]
	if d == nil {
		return c, false
	}
	if now := time.Now().Unix(); d.last.Load() != now {
		d.last.Store(now)
	}
	return d.caller, true
}

// Locked returns the names of the keys that are locked out at now, by the clock of their limits, in no order.
func (u *Uses) Locked(now int64) (names []string) {
	doors, seen := u.doors.Load(), map[*use]bool{}
	if doors == nil {
		return nil
	}
	for _, d := range *doors {
		if !seen[d] && d.caller.Locked(now) > 0 {
			seen[d] = true
			names = append(names, d.name)
		}
	}
	return names
}

// News returns up to most of the uses that sent does not have, by token id, and puts them there.
func (u *Uses) News(sent map[string]int64, most int) map[string]int64 {
	doors := u.doors.Load()
	if doors == nil {
		return nil
	}
	news := map[string]int64{}
	for _, d := range *doors {
		if len(news) == most {
			break
		}
		if last := d.last.Load(); last != 0 && d.id != "" && sent[d.id] != last {
			news[d.id], sent[d.id] = last, last
		}
	}
	return news
}
