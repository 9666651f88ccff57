package origin

import (
	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
)

// tally is a change's figures while they are counted.
type tally struct {
	before, added, renewed, removed, unchanged int

	changed cache.Counts // by the new status
}

// add counts one subject's change. Either record may be cache.Removed.
func (t *tally) add(from, to cache.Record) {
	switch {
	case from == to:
		t.unchanged++
	case from == cache.Removed:
		t.added++
	case to == cache.Removed:
		t.removed++
	case from.Status() == to.Status():
		t.renewed++
	default:
		t.changed[to.Status()]++
	}
}

// weight is what counts for an issuer's max_change.
type weight struct{ bad, all int }

func (t *tally) weight() weight {
	bad := t.changed[cache.Red] + t.changed[cache.Void]
	return weight{bad, bad + t.changed[cache.Green] + t.changed[cache.Yellow] + t.removed}
}

// changes is how many subjects are not as they were.
func (t *tally) changes() int {
	n := t.added + t.renewed + t.removed
	for _, m := range t.changed {
		n += int(m)
	}
	return n
}

func (w weight) plus(v weight) weight  { return weight{w.bad + v.bad, w.all + v.all} }
func (w weight) minus(v weight) weight { return weight{w.bad - v.bad, w.all - v.all} }

func (t *tally) figures() scanedge.Figures {
	f := scanedge.Figures{Before: t.before, Added: t.added, Renewed: t.renewed, Removed: t.removed, Unchanged: t.unchanged}
	for s, n := range t.changed {
		if n > 0 {
			if f.Changed == nil {
				f.Changed = map[scanedge.Status]int{}
			}
			f.Changed[scanedge.Status(cache.Status(s).String())] = n
		}
	}
	return f
}

// overruled marks the deltas of a push that a later one of the same push is for, a bit each; nil if there are none. It finds them
// by an open hash table of indices, four to eight bytes a delta: a key is a hash already.
func overruled(deltas []cache.Delta) (marks []uint64) {
	if len(deltas) < 2 {
		return nil
	}
	size := 2
	for size < 2*len(deltas) {
		size *= 2
	}
	index := make([]uint32, size) // of a delta, plus 1
	for i := len(deltas) - 1; i >= 0; i-- {
		k := deltas[i].Key.Stored()
		at := int(k.Lo) & (size - 1)
		for index[at] != 0 && deltas[index[at]-1].Key.Stored() != k {
			at = (at + 1) & (size - 1)
		}
		if index[at] == 0 {
			index[at] = uint32(i + 1)
			continue
		}
		if marks == nil {
			marks = make([]uint64, (len(deltas)+63)/64)
		}
		marks[i/64] |= 1 << (i % 64)
	}
	return marks
}

// overlay is what pushes set that are not in the table yet, by [cache.Key.Stored].
type overlay map[cache.Key]cache.Record

func (o overlay) add(b delta.Batch) {
	for i := range b.Len() {
		d := b.At(i)
		o[d.Key.Stored()] = d.Record
	}
}

// tally counts what a push would do to a table, with an overlay over it that may be nil. Beside the table's writer it counts what
// each subject is at some moment of the call. It allocates nothing.
func (p *push) tally(table *cache.Table, over overlay) (t tally) {
	var keys [256]cache.Key
	var to, from [256]cache.Record
	t.before = table.Len()
	for i := 0; i < p.batch.Len(); {
		n := 0
		for ; i < p.batch.Len() && n < len(keys); i++ {
			if p.overruled != nil && p.overruled[i/64]>>(i%64)&1 == 1 {
				continue
			}
			d := p.batch.At(i)
			keys[n], to[n] = d.Key, d.Record
			n++
		}
		table.LookupMany(keys[:n], from[:n])
		for j := range n {
			if len(over) > 0 {
				if r, ok := over[keys[j].Stored()]; ok {
					from[j] = r
				}
			}
			t.add(from[j], to[j])
		}
	}
	return t
}

// heldError is the refusal of a push that changes too much.
type heldError struct {
	tally tally
	why   string
}

func (e heldError) Error() string { return e.why }
