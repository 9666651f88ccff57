package limit

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// ways is how many callers are in one set.
const ways = 8

// set is three cache lines. A place whose tag is 0 is empty.
type set struct {
	tags    [ways]atomic.Uint64
	callers [ways]words
}

// Table keeps callers whom nobody registered, by key, in memory of one size. Its methods are safe for concurrent use. One who is
// known is found without a lock, and nothing is allocated.
type Table struct {
	seeds [kinds]maphash.Seed // two keys of different kinds are two
	sets  []set
	shift int
	after int64 // the longest that one who was locked out still has something to lose

	entering [64]struct { // one for each 64th of the sets: who brings a caller in holds it
		sync.Mutex
		_ [56]byte
	}
	untracked atomic.Uint64
}

// NewTable makes a table of that many callers, 8 or more, rounded up to a power of 2: 24 bytes each. All rules that it will be asked with
// must be named.
func NewTable(callers int, all ...*Rules) *Table {
	t := &Table{shift: 64}
	for i := range t.seeds {
		t.seeds[i] = maphash.MakeSeed()
	}
	n := 1
	for n*ways < callers {
		n *= 2
		t.shift--
	}
	t.sets = make([]set, n)
	for _, r := range all {
		if r != nil {
			t.after = max(t.after, r.slow)
		}
	}
	return t
}

// Key names a caller in a table, however it was given: two keys that differ are two callers.
type Key struct {
	kind Kind
	name uint64
}

// Caller returns the caller of a key as he stands under the rules. Without rules it does not look; one for whom there is no room goes
// free.
func (t *Table) Caller(k Key, r *Rules, now int64) Caller {
	if r == nil {
		return Caller{}
	}
	tag := t.tag(k)
	s := &t.sets[tag>>t.shift]
	if i := s.find(tag); i >= 0 {
		return Caller{&s.callers[i], r}
	}
	return t.enter(s, tag, r, now)
}

// tag is the key's hash, under this process's keys. It is not 0.
func (t *Table) tag(k Key) uint64 {
	var b [8]byte // of 16 in two stores the hash would wait for the second
	binary.NativeEndian.PutUint64(b[:], k.name)
	return max(1, maphash.Bytes(t.seeds[k.kind], b[:]))
}

func (s *set) find(tag uint64) int {
	for i := range s.tags {
		if s.tags[i].Load() == tag {
			return i
		}
	}
	return -1
}

// enter brings in one who was not there. That of two who bring in the same one does, the other finds.
func (t *Table) enter(s *set, tag uint64, r *Rules, now int64) Caller {
	door := &t.entering[tag>>t.shift&63]
	door.Lock()
	defer door.Unlock()
	if i := s.find(tag); i >= 0 {
		return Caller{&s.callers[i], r}
	}
	i, found := s.vacate(now, t.after)
	if !found {
		t.untracked.Add(1)
		return Caller{}
	}
	s.callers[i].full.Store(0)
	s.tags[i].Store(tag)
	return Caller{&s.callers[i], r}
}

// vacate empties the place that a newcomer takes, and finds none if all are locked out. Who is locked out at that moment keeps his
// place: hence the compare-and-swap.
func (s *set) vacate(now, after int64) (i int, found bool) {
	for {
		i = s.least(now, after)
		if i < 0 {
			return i, false
		}
		g := s.callers[i].guard.Load()
		if g < 0 && -g > now || !s.callers[i].guard.CompareAndSwap(g, 0) {
			continue
		}
		s.tags[i].Store(0)
		return i, true
	}
}

// least is the place that is empty, or whose caller comes soonest to where there is nothing to forget; -1: all are locked out.
func (s *set) least(now, after int64) int {
	best, least := -1, int64(0)
	for i := range s.tags {
		if s.tags[i].Load() == 0 {
			return i
		}
		w := &s.callers[i]
		until := w.lockedUntil()
		if until > now {
			continue
		}
		loses := max(0, w.full.Load()-now, w.guard.Load()-now)
		if until > 0 {
			loses = max(loses, until+after-now)
		}
		if best < 0 || loses < least {
			best, least = i, loses
		}
	}
	return best
}

// Locked is how many are locked out at now. It reads the whole table.
func (t *Table) Locked(now int64) (n int) {
	for i := range t.sets {
		s := &t.sets[i]
		for j := range s.callers {
			if s.callers[j].lockedUntil() > now {
				n++
			}
		}
	}
	return n
}

// Untracked is how often there was no room for a caller.
func (t *Table) Untracked() uint64 { return t.untracked.Load() }
