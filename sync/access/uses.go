package access

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/dchest/siphash"

	"github.com/scanedge/scanedge/edge/limit"
)

// Uses is the scanner keys that an edge admits, what each may do there and when it was used last. Its zero value admits none. Admit is safe for
// concurrent use, also beside the others.
type Uses struct {
	doors atomic.Pointer[doors] // replaced whole
}

// doors are the keys of one time, by their hashes. Those that are brought are found by a quicker hash from then on, one of a process's own
// that nobody knows: an eighth of the time, and it tells as little.
type doors struct {
	byHash map[Hash]*use
	k0, k1 uint64 // of the quicker hash
	met    []atomic.Pointer[met]
}

// met is a key that was brought, under its quicker hash. A place that is taken stays so: who comes second is found by his hash.
type met struct {
	hi, lo uint64
	use    *use
}

func newDoors(byHash map[Hash]*use) *doors {
	var k [16]byte
	rand.Read(k[:]) // never fails
	places := 1 << bits.Len(uint(8*len(byHash)))
	return &doors{byHash, binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:]), make([]atomic.Pointer[met], places)}
}

// of returns the use of a key, nil if it is none.
func (d *doors) of(key []byte) *use {
	hi, lo := siphash.Hash128(d.k0, d.k1, key)
	place := &d.met[hi&uint64(len(d.met)-1)]
	known := place.Load()
	if known != nil && known.hi == hi && known.lo == lo {
		return known.use
	}
	u := d.byHash[HashOf(key)]
	if u != nil && known == nil {
		place.CompareAndSwap(nil, &met{hi, lo, u})
	}
	return u
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
		for _, d := range doors.byHash {
			before[d.id] = d
		}
	}
	byHash := make(map[Hash]*use, len(c.ScannerKeys))
	for hash, name := range c.ScannerKeys {
		id := c.ScannerIDs[hash]
		d := now[id]
		if d == nil || id == "" { // an origin of before does not say
			l, own := c.ScannerLimits[id]
			d = before[id].again(id, name, rules(l, own))
			now[id] = d
		}
		byHash[hash] = d
	}
	u.doors.Store(newDoors(byHash))
}

// again is a use, perhaps with other rules. Of none it is a new one.
func (d *use) again(id, name string, r *limit.Rules) *use {
	if d == nil || id == "" {
		return &use{id, name, limit.NewCaller(r), new(atomic.Int64)}
	}
	return &use{id, name, d.caller.Under(r), d.last}
}

// Admit reports whether a key is one of them, notes the use at that time, and returns who that is to be limited as. It allocates nothing
// but at a key's first use, and writes to shared memory once a second.
func (u *Uses) Admit(key []byte, at time.Time) (c limit.Caller, known bool) {
	doors := u.doors.Load()
	if doors == nil {
		return c, false
	}
	d := doors.of(key)
	if d == nil {
		return c, false
	}
	if now := at.Unix(); d.last.Load() != now {
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
	for _, d := range doors.byHash {
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
	for _, d := range doors.byHash {
		if len(news) == most {
			break
		}
		if last := d.last.Load(); last != 0 && d.id != "" && sent[d.id] != last {
			news[d.id], sent[d.id] = last, last
		}
	}
	return news
}
