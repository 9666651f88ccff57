package cache

import (
	"math/rand/v2"
	"testing"
)

// scrubbed is a shard of a table, of which a test changes bits.
type scrubbed struct {
	*testing.T
	table *Table
	keys  []Key
	want  []Record // of the keys
	got   []Record
}

const scrubbedShard = 0

// newScrubbed is a table whose shard is well filled, with twins: entries with another's tag.
func newScrubbed(t *testing.T) *scrubbed {
	keys := crowd(rand.New(rand.NewPCG(1, 1)), scrubbedShard, partitionBits, 1000)
	s := &scrubbed{t, tableOf(keys), keys, make([]Record, len(keys)), make([]Record, len(keys))}
	s.table.LookupMany(keys, s.want)
	audit(t, s.table)
	return s
}

// look compares every subject's record, one by one and all at once.
func (s *scrubbed) look() bool {
	s.table.LookupMany(s.keys, s.got)
	for i, k := range s.keys {
		if r, ok := s.table.Lookup(k); !ok || r != s.want[i] || s.got[i] != r {
			return false
		}
	}
	return true
}

// flip flips a bit of a bucket, and wants a scrub to find it. Some bits it need not find, if no lookup gives a wrong answer.
func (s *scrubbed) flip(what string, need bool, flip func()) {
	s.Helper()
	flip()
	if found := s.table.Scrub(scrubbedShard) != nil; !found && (need || !s.look()) {
		s.Fatalf("%s: flipped, and not found", what)
	}
	flip()
}

// Whatever bit of a shard's memory flips, the scrub says so, or it was none that a lookup depends on.
func TestScrubFindsAnyFlippedBit(t *testing.T) { inForms(t, scrubFindsAnyFlippedBit) }

func scrubFindsAnyFlippedBit(t *testing.T) {
	s := newScrubbed(t)
	a := s.table.arrays[scrubbedShard].Load()
	taken, free := 0, 0
	for n := 0; n < len(a.buckets); n += 40 {
		b := a.buckets[n].plain()
		for j, tag := range b.tags {
			if tag != 0 {
				taken++
			} else {
				free++
			}
			for bit := range 64 {
				s.flip("a tag", true, func() { b.tags[j] ^= 1 << bit })
			}
			for bit := range 32 {
				s.flip("a record", tag != 0, func() { b.recs[j] ^= 1 << bit })
			}
			s.flip("a choice", tag != 0, func() { b.head ^= 1 << j })
		}
		for bit := versionShift; bit < 32; bit++ {
			s.flip("a version", false, func() { b.head ^= 1 << bit })
		}
	}
	if audit(t, s.table); taken == 0 || free == 0 {
		t.Errorf("%d slots taken, %d free: the test shows too little", taken, free)
	}
}

// A bit of a filter must be set while an entry relies on it. Set for nothing, it costs a line.
func TestScrubFindsAFilterWithoutABit(t *testing.T) { inForms(t, scrubFindsAFilterWithoutABit) }

func scrubFindsAFilterWithoutABit(t *testing.T) {
	s := newScrubbed(t)
	a := s.table.arrays[scrubbedShard].Load()
	needed := a.neededFilters()
	for n := 0; n < len(a.buckets); n += 3 {
		b := a.buckets[n].plain()
		for bit := uint32(1 << filterShift); bit < change; bit <<= 1 {
			s.flip("a filter", needed[n]&bit != 0, func() { b.head ^= bit })
		}
	}
	audit(t, s.table)
}

// neededFilters are the filter bits that entries in their second buckets rely on, by bucket.
func (a *array) neededFilters() map[int]uint32 {
	needed := map[int]uint32{}
	for i := range a.buckets {
		b := a.buckets[i].plain()
		for j, tag := range b.tags {
			if tag != 0 && b.head>>j&1 == 1 {
				needed[int(a.first(b.home(uint64(i)/a.width, j)))] |= filterBit(tag)
			}
		}
	}
	return needed
}

func TestScrubFindsALostEntry(t *testing.T) { inForms(t, scrubFindsALostEntry) }

// Lost is one that has gone, one that lies where no lookup looks, and one that is there twice.
func scrubFindsALostEntry(t *testing.T) {
	for what, lose := range map[string]func(from, to *plainBucket){
		"gone":  func(from, _ *plainBucket) { from.tags[0] = 0 },
		"moved": func(from, to *plainBucket) { to.tags[4], to.recs[4], from.tags[0] = from.tags[0], from.recs[0], 0 },
		"twice": func(from, to *plainBucket) { to.tags[4], to.recs[4] = from.tags[0], from.recs[0] },
		"swapped": func(from, to *plainBucket) {
			from.recs[0], to.recs[0] = to.recs[0], from.recs[0]
		},
	} {
		table := filled(20_000)
		a := table.arrays[100].Load()
		var from, to *plainBucket
		for n := range a.buckets {
			if b := a.buckets[n].plain(); b.tags[0] != 0 && b.tags[4] == 0 {
				from, to = to, b
			}
		}
		if audit(t, table); table.Scrub(100) != nil {
			t.Fatal("damaged before")
		}
		if lose(from, to); table.Scrub(100) == nil {
			t.Errorf("%s: a lost entry is not found", what)
		}
		if err := table.Scrub(99); err != nil {
			t.Errorf("%s: another shard is blamed: %v", what, err)
		}
	}
}
