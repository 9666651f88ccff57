package cache

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// witness is a subject whose puts are counted and whose records say the number of the put that stored them. So a reader can
// tell which one it sees, and whether a lookup at that moment may see it.
type witness struct {
	key   Key
	cycle uint64 // every how many puts it is removed; 0: never
	begun atomic.Uint64
	done  atomic.Uint64
}

const (
	putBits      = 20   // of a record, for the put's number; above them is the witness's
	maxWitnesses = 3000 // or a record would read as Removed
)

func (w *witness) removedBy(put uint64) bool { return put == 0 || w.cycle > 0 && put%w.cycle == 0 }

// stage is a table and its witnesses, the steady ones first. It is its one writer's, but for reading beside it.
type stage struct {
	table     Table
	witnesses []*witness
	steady    int // these are never removed
	rnd       *rand.Rand
	deltas    []Delta
}

// enter adds witnesses. Steady ones (cycle 0) come first, and are put at once.
func (s *stage) enter(cycle uint64, keys ...Key) {
	for _, k := range keys {
		s.witnesses = append(s.witnesses, &witness{key: k, cycle: cycle})
		if cycle == 0 {
			s.steady++
			s.put(s.steady - 1)
		}
	}
}

func (s *stage) record(i int, put uint64) Record {
	if s.witnesses[i].removedBy(put) {
		return Removed
	}
	return Record(i)<<putBits | Record(put&(1<<putBits-1))
}

// put makes the next put of each of some witnesses, in one call if there are several. One may be named more than once.
func (s *stage) put(is ...int) {
	s.deltas = s.deltas[:0]
	for _, i := range is {
		n := s.witnesses[i].begun.Add(1)
		s.deltas = append(s.deltas, Delta{s.witnesses[i].key, s.record(i, n)})
	}
	if len(is) == 1 {
		s.table.Put(s.deltas[0].Key, s.deltas[0].Record)
	} else {
		s.table.PutMany(s.deltas)
	}
	for _, i := range is {
		s.witnesses[i].done.Add(1)
	}
}

// proves reports whether a lookup may have found r if put lo was done before it began and the one after hi begun after it
// ended. Put is the one that stored r.
func (s *stage) proves(i int, lo, hi uint64, r Record) (put uint64, ok bool) {
	if r == Removed {
		for put = lo; put <= hi; put++ {
			if s.witnesses[i].removedBy(put) {
				return put, true
			}
		}
		return 0, false
	}
	put = lo + (uint64(r)-lo)&(1<<putBits-1)
	return put, put <= hi && r == s.record(i, put)
}

// lastly compares what is left with the last put of each.
func (s *stage) lastly(t *testing.T) {
	m, ever := model{}, map[Key]bool{}
	for i, w := range s.witnesses {
		ever[w.key] = true
		m.put(w.key, s.record(i, w.done.Load()))
	}
	m.check(t, &s.table, ever)
	audit(t, &s.table)
}

// reader asks for witnesses, mostly the steady ones, and holds each answer against what it can be. None may be older than one
// that was seen before.
type reader struct {
	*stage
	rnd  *rand.Rand
	seen []uint64
}

func newReader(s *stage, seed uint64) *reader {
	return &reader{s, rand.New(rand.NewPCG(seed, 1)), make([]uint64, len(s.witnesses))}
}

func (r *reader) pick() int {
	if r.rnd.Uint32()&7 == 0 {
		return r.rnd.IntN(len(r.witnesses))
	}
	return r.rnd.IntN(r.steady)
}

func (r *reader) since(i int) uint64 { return max(r.witnesses[i].done.Load(), r.seen[i]) }

func (r *reader) judge(t *testing.T, i int, lo uint64, rec Record) bool {
	hi := r.witnesses[i].begun.Load()
	put, ok := r.proves(i, lo, hi, rec)
	if !ok {
		t.Errorf("witness %d, %d of them steady: a lookup between its puts %d and %d found %#x (%v)", i, r.steady, lo, hi, uint32(rec), rec)
	} else if rec != Removed {
		r.seen[i] = max(r.seen[i], put) // one that is named twice may be looked up in any order
	}
	return ok
}

func (r *reader) lookups(t *testing.T, n int) bool {
	for range n {
		i := r.pick()
		lo := r.since(i)
		rec, ok := r.table.Lookup(r.witnesses[i].key)
		if !ok {
			rec = Removed
		}
		if !r.judge(t, i, lo, rec) {
			return false
		}
	}
	return true
}

const manyAtOnce = ahead + 16

func (r *reader) lookupMany(t *testing.T) bool {
	var keys [manyAtOnce]Key
	var recs [manyAtOnce]Record
	var is [manyAtOnce]int
	var lo [manyAtOnce]uint64
	for j := range keys {
		i := r.pick()
		is[j], keys[j], lo[j] = i, r.witnesses[i].key, r.since(i)
	}
	r.table.LookupMany(keys[:], recs[:])
	for j, i := range is {
		if !r.judge(t, i, lo[j], recs[j]) {
			return false
		}
	}
	return true
}
