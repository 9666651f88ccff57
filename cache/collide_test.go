package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// shrunken is n keys of subjects whose shard and tag have few random bits. The hash that spreads these over a tag is a bijection:
// so the bits that count are exactly those, and the partition's.
func shrunken(rnd *rand.Rand, n, inShard, inTag int) (keys []Key) {
	for range n {
		hi := rnd.Uint64()
		keys = append(keys, Key{hi &^ (1<<(64-inShard) - 1<<(64-shardBits)), spread(rnd.Uint64N(1<<inTag) + 1)})
	}
	return keys
}

// The package doc says that N subjects make N*(N-1)/2^(bits+1) pairs that share an entry, where `bits` count. Pairs are counted here
// in tables whose tags have so few bits that there are many, and that grow between.
func TestAWrongMatchIsAsRareAsTheDocSays(t *testing.T) { inForms(t, countWrongMatches) }

func countWrongMatches(t *testing.T) {
	for _, c := range []struct{ subjects, inShard, inTag, tables int }{
		{2000, shardBits, 2, 8}, {20_000, shardBits, 5, 2}, {2000, 0, 8, 10}, {8000, 1, 7, 4}, {8000, 1, 13, 20},
	} {
		bits := c.inShard + partitionBits + c.inTag
		t.Run(fmt.Sprintf("%d subjects/%d bits", c.subjects, bits), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(*testSeed, uint64(c.inTag)))
			shared := 0
			for range c.tables {
				shared += sharedEntries(t, shrunken(rnd, c.subjects, c.inShard, c.inTag))
			}
			n := float64(c.subjects)
			want := float64(c.tables) * n * (n - 1) / math.Exp2(float64(bits+1))
			if got, sigma := float64(shared), math.Sqrt(want); math.Abs(got-want) > 5*sigma || want < 100 {
				t.Errorf("%.0f pairs share an entry, want %.0f ± %.0f", got, want, 5*sigma)
			}
		})
	}
}

// With the bits of a whole key, that is the promise.
func TestAWrongMatchIsRare(t *testing.T) {
	const n = 900e6
	if p := n * (n - 1) / math.Exp2(keyBits+1); p > 1e-6 {
		t.Errorf("two of %.0f subjects share an entry with probability %.1e", n, p)
	}
}

// sharedEntries puts subjects into a table, makes it grow when half of them are in, and returns how many found an entry of
// another. Who does has the last record that was put for either.
func sharedEntries(t *testing.T, keys []Key) (shared int) {
	var table Table
	last := map[Key]Record{}
	for i, k := range keys {
		if i == len(keys)/2 {
			growAll(&table, 3)
		}
		if _, ok := table.Lookup(k); ok {
			shared++
		}
		table.Put(k, Record(i))
		last[counted(k)] = Record(i)
	}
	growAll(&table, 1)
	for _, k := range keys {
		if r, ok := table.Lookup(k); !ok || r != last[counted(k)] {
			t.Fatalf("%v: %v, %v; want %v", k, r, ok, last[counted(k)])
		}
	}
	if table.Len() != len(keys)-shared {
		t.Fatalf("%d subjects share an entry, %d are in %d", shared, len(keys), table.Len())
	}
	audit(t, &table)
	return shared
}

// growAll makes every array wider, step by step.
func growAll(table *Table, widest uint64) {
	for i := range uint64(Shards) {
		for range widest {
			table.replace(i, 1)
		}
	}
}
