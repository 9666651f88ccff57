package cache

import (
	"flag"
	"math/rand/v2"
	"testing"
)

// history is a random life of a table beside its model, in tides: in the even ones some per cent of the puts are removals, in
// the odd ones others.
type history struct {
	name  string
	keys  []Key
	steps int
	flood int // per cent of removals
	ebb   int
	sees  changes // at least
}

const tides = 6

var lives = flag.Uint64("lives", 1, "how many histories each kind of table is played")

// changes is how often arrays were replaced.
type changes struct{ grown, shrunk, mended int }

func (c *changes) note(old, now *array) {
	switch {
	case old == nil || now == old:
	case now.width > old.width:
		c.grown++
	case now.width < old.width:
		c.shrunk++
	default:
		c.mended++
	}
}

func honest(n uint64) (keys []Key) {
	for i := range n {
		keys = append(keys, key(i, false))
	}
	return keys
}

// gathered are honest keys but for their shards, which are few: so that arrays are full and grow with few subjects.
func gathered(n, shards uint64) []Key { return fold(honest(n), shards) }

func fold(keys []Key, shards uint64) (folded []Key) {
	for _, k := range keys {
		folded = append(folded, Key{k.Hi<<shardBits>>shardBits | shardOf(k)%shards<<(64-shardBits), k.Lo})
	}
	return folded
}

func narrow(n uint64) (keys []Key) {
	for i := range n {
		keys = append(keys, key(i, true))
	}
	return keys
}

// smallTags have all their first bucket in common with others, and two of them, 0 and 1, name one subject. The bits that don't
// count are set in some.
func smallTags(n uint64) (keys []Key) {
	for _, shard := range []uint64{0, 1, Shards - 1} {
		for _, partition := range []uint64{0, 1, 2, partitions - 1} {
			for tag := range n {
				k := keyAt(shard, partition, tag)
				keys = append(keys, Key{k.Hi | tag%3, k.Lo})
			}
		}
	}
	return keys
}

// sameTags are few tags, each in every partition of some shards.
func sameTags(rnd *rand.Rand, n int) (keys []Key) {
	for range n {
		tag := rnd.Uint64()
		for _, shard := range []uint64{0, 2, 64} {
			for partition := range uint64(partitions) {
				keys = append(keys, keyAt(shard, partition, tag))
			}
		}
	}
	return keys
}

func TestTableIsItsModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 7))
	histories := []history{
		{"4 subjects", honest(4), 200, 30, 60, changes{}},
		{"50 subjects", honest(50), 1000, 30, 60, changes{}},
		{"3000 subjects", honest(3000), 10_000, 30, 60, changes{}},
		{"3 shards", gathered(10_000, 3), 60_000, 5, 95, changes{5, 3, 0}},
		{"one shard", crowd(rnd, 0, partitionBits, 4000), 30_000, 1, 99, changes{5, 3, 0}},
		{"one full shard", crowd(rnd, 0, partitionBits, 1400), 20_000, 25, 25, changes{0, 0, 2}},
		{"one bucket", crowd(rnd, 0, 0, 12), 5000, 40, 60, changes{10, 10, 0}},
		{"two partitions", crowd(rnd, 3, 1, 30), 5000, 40, 60, changes{10, 10, 0}},
		{"sixteen partitions", crowd(rnd, 0, 4, 90), 10_000, 10, 40, changes{}},
		{"few tags", narrow(250), 5000, 30, 60, changes{}},
		{"small tags", smallTags(40), 5000, 30, 60, changes{}},
		{"same tags", sameTags(rnd, 3), 10_000, 30, 60, changes{}},
	}
	inForms(t, func(t *testing.T) {
		for _, h := range histories {
			t.Run(h.name, func(t *testing.T) {
				for i := range *lives {
					h.play(t, rand.New(rand.NewPCG(*testSeed+i, 7)))
				}
			})
		}
	})
}

func (h *history) play(t *testing.T, rnd *rand.Rand) {
	var table Table
	var seen changes
	m, ever := model{}, map[Key]bool{}
	for tide := range tides {
		removals := []int{h.flood, h.ebb}[tide%2]
		for range h.steps / tides {
			deltas := h.draw(rnd, removals)
			shard := &table.arrays[shardOf(deltas[0].Key)]
			before := shard.Load()
			if len(deltas) == 1 {
				table.Put(deltas[0].Key, deltas[0].Record)
			} else {
				table.PutMany(deltas)
			}
			seen.note(before, shard.Load())
			for _, d := range deltas {
				m.put(d.Key, d.Record)
				ever[d.Key] = true
			}
			h.ask(t, &table, m, rnd)
		}
		m.check(t, &table, ever)
		audit(t, &table)
	}
	if seen.grown < h.sees.grown || seen.shrunk < h.sees.shrunk || seen.mended < h.sees.mended {
		t.Errorf("arrays changed %+v, want %+v and more", seen, h.sees)
	}
}

// draw is the next put or, now and then, some at once, of which many are for one subject.
func (h *history) draw(rnd *rand.Rand, removals int) (deltas []Delta) {
	n, among := 1, len(h.keys)
	if rnd.IntN(64) == 0 {
		n = 2 + rnd.IntN(100)
		among = min(among, n)
	}
	first := rnd.IntN(len(h.keys) - among + 1)
	for range n {
		d := Delta{h.keys[first+rnd.IntN(among)], record(rnd)}
		if rnd.IntN(100) < removals {
			d.Record = Removed
		}
		deltas = append(deltas, d)
	}
	return deltas
}

// ask looks up a subject, and now and then all that are near it.
func (h *history) ask(t *testing.T, table *Table, m model, rnd *rand.Rand) {
	keys := []Key{h.keys[rnd.IntN(len(h.keys))]}
	if rnd.IntN(64) == 0 {
		keys = append(keys, near(keys[0])...)
	}
	for _, k := range keys {
		if r, ok := table.Lookup(k); ok != (m.get(k) != Removed) || ok && r != m.get(k) {
			t.Fatalf("%v: %v, %v; want %v", k, r, ok, m.get(k))
		}
	}
}

// fuzzKeys meet in every way there is: in a shard, a partition, a bucket, a tag.
var fuzzKeys = append(append(smallTags(4), crowd(rand.New(rand.NewPCG(8, 8)), 0, 0, 24)...), narrow(184)...)

// What a fuzzed history is made of: a kind of step in a byte's upper half, a number in its lower half.
const (
	stepPut = iota
	stepRemove
	stepMany
	stepGrow
	stepMend
	stepAsk
	stepKinds
)

func FuzzTable(f *testing.F) {
	f.Add([]byte{0x00, 1, 0x01, 2, 0x10, 1, 0x22, 3, 4, 3, 0x30, 0x40, 0x50})
	many := make([]byte, 0, 600)
	for i := range 256 {
		many = append(many, 0x01, byte(i))
	}
	f.Add(append(many, 0x4f, 0x50, 0x3f, 0x50))
	f.Fuzz(func(t *testing.T, steps []byte) {
		steps = steps[:min(len(steps), 2000)]
		for _, form := range forms {
			form.use()
			playBytes(t, steps)
		}
		forms[0].use()
	})
}

func playBytes(t *testing.T, steps []byte) {
	var table Table
	m, ever := model{}, map[Key]bool{}
	put := func(keys []byte, r Record) {
		var deltas []Delta
		for i, b := range keys {
			d := Delta{fuzzKeys[int(b)%len(fuzzKeys)], r + Record(i)}
			deltas = append(deltas, d)
			m.put(d.Key, d.Record)
			ever[d.Key] = true
		}
		table.PutMany(deltas)
	}
	for at := 0; at < len(steps); {
		kind, n := steps[at]>>4%stepKinds, int(steps[at]&15)
		at++
		rest := steps[at:]
		switch kind {
		case stepPut, stepRemove:
			rest, n = rest[:min(1, len(rest))], n<<1|1
			put(rest, map[byte]Record{stepPut: Record(n) << 24, stepRemove: Removed}[kind])
			at += len(rest)
		case stepMany:
			rest = rest[:min(n, len(rest))]
			put(rest, Removed-Record(n)/2) // one of them is a removal, and may be of one just put
			at += len(rest)
		case stepGrow, stepMend:
			table.replace(uint64(n&1), uint64(n)*uint64(stepMend-kind))
		case stepAsk:
			m.check(t, &table, ever)
		}
	}
	m.check(t, &table, ever)
	audit(t, &table)
}

// replace makes a shard's array anew, wider by some, within bounds.
func (t *Table) replace(shard, wider uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.arrays[shard].Load(); a != nil {
		t.resize(shard, max(a.width, min(a.width+wider, 40)))
	}
}
