package cache

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// checkWalk holds what a walk gives, and the counts, to the model: every subject once, in its shard, by a key that counts as its own.
func checkWalk(t *testing.T, table *Table, m model) {
	t.Helper()
	seen, want := model{}, Counts{}
	for i := range Shards {
		for _, d := range table.AppendShard(nil, i) {
			if _, twice := seen[d.Key]; twice || d.Key.Shard() != i || d.Key.Stored() != d.Key {
				t.Fatalf("shard %d gives %v, twice: %v", i, d.Key, twice)
			}
			seen[d.Key] = d.Record
		}
	}
	for k, r := range m {
		if seen[k] != r {
			t.Fatalf("%v is %v, not %v", k, seen[k], r)
		}
		want[r.Status()]++
	}
	if len(seen) != len(m) {
		t.Fatalf("%d subjects, not %d", len(seen), len(m))
	}
	if got := table.Counts(); got != want {
		t.Fatalf("counts %v, not %v", got, want)
	}
}

func TestWalkAgainstAModel(t *testing.T) {
	for _, narrow := range []bool{false, true} {
		for _, subjects := range []int{3, 300, 30_000} {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 0))
			table, m := new(Table), model{}
			table.Describe("demo-a", SeedID{})
			for round := range 6 {
				for range subjects {
					k, r := key(rnd.Uint64N(uint64(subjects)), narrow), record(rnd)
					if rnd.IntN(3) == 0 {
						r = Removed
					}
					table.Put(k, r)
					m.put(k, r)
				}
				if round%2 == 1 { // the first counts are those of a table that was never counted
					checkWalk(t, table, m)
				}
			}
			var b bytes.Buffer
			if _, err := table.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			loaded := new(Table)
			if _, err := loaded.ReadFrom(bytes.NewReader(b.Bytes())); err != nil {
				t.Fatal(err)
			}
			loaded.Put(key(0, narrow), Removed) // before anybody counted
			m.put(key(0, narrow), Removed)
			checkWalk(t, loaded, m)
			for k := range m { // what a walk gives is good for a removal
				loaded.Put(k, Removed)
			}
			checkWalk(t, loaded, model{})
		}
	}
}

// A replaced table is counted anew.
func TestCountsAfterReplace(t *testing.T) {
	table := filled(1000)
	table.Counts()
	other := tableOf([]Key{key(1, false), key(2, false)})
	other.Describe("demo-a", SeedID{})
	var b bytes.Buffer
	if _, err := other.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Replace(bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	checkWalk(t, table, model{counted(key(1, false)): 0, counted(key(2, false)): 1})
}
