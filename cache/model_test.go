package cache

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// key spreads i as a seed would, so that histories of few subjects meet in few shards when narrow is set.
func key(i uint64, narrow bool) Key {
	k := Seed{1, 2}.Key(strconv.AppendUint(nil, i, 10))
	if narrow {
		k.Hi = 0                   // one shard
		k.Lo = (k.Lo & 0xff) << 56 // few tags, 0 among them
	}
	return k
}

// cheapKey spreads i over a key's bits at little cost.
func cheapKey(i uint64) Key { return Key{spread(2*i + 1), spread(2*i + 2)} }

// spread is the finalizer of splitmix64.
func spread(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func record(rnd *rand.Rand) Record {
	r, err := NewRecord(Status(rnd.IntN(4)), uint8(rnd.IntN(64)), time.Time{})
	if err != nil {
		panic(err)
	}
	return r
}

func filled(n uint64) *Table {
	var t Table
	for i := range n {
		t.Put(key(i, false), Record(i))
	}
	return &t
}

func tableOf(subjects []Key) *Table {
	var t Table
	for i, k := range subjects {
		t.Put(k, Record(i))
	}
	return &t
}

// model is the oracle: Go's map and the digest by its definition.
type model map[Key]Record

// counted is a key's 79 bits that count.
func counted(k Key) Key { return Key{k.Hi &^ (1<<49 - 1), max(k.Lo, 1)} }

// keyAt is the key of a place.
func keyAt(shard, partition, tag uint64) Key {
	return Key{shard<<(64-shardBits) | partition<<(64-shardBits-partitionBits), tag}
}

func (m model) put(k Key, r Record) {
	if r == Removed {
		delete(m, counted(k))
	} else {
		m[counted(k)] = r
	}
}

// get is what LookupMany says of a key.
func (m model) get(k Key) Record {
	if r, ok := m[counted(k)]; ok {
		return r
	}
	return Removed
}

// check compares the whole content, and asks for every key that ever was there, one by one and all at once.
func (m model) check(t *testing.T, table *Table, ever map[Key]bool) {
	t.Helper()
	var digest Digest
	for k, r := range m {
		digest += digestOf(k, r)
	}
	if table.Len() != len(m) || table.Digest() != digest {
		t.Fatalf("%d subjects with digest %s, want %d with %s", table.Len(), table.Digest(), len(m), digest)
	}
	keys := make([]Key, 0, len(ever))
	for k := range ever {
		keys = append(keys, k)
		got, ok := table.Lookup(k)
		if want := m.get(k); ok != (want != Removed) || ok && got != want {
			t.Fatalf("%v: %v, %v; want %v", k, got, ok, want)
		}
	}
	recs := make([]Record, len(keys))
	table.LookupMany(keys, recs)
	for i, k := range keys {
		if recs[i] != m.get(k) {
			t.Fatalf("%v, %d of %d at once: %v; want %v", k, i, len(keys), recs[i], m.get(k))
		}
	}
}

// near are keys that differ from k in one bit that counts.
func near(k Key) (keys []Key) {
	for bit := range 64 {
		keys = append(keys, Key{k.Hi, k.Lo ^ 1<<bit})
	}
	for bit := range shardBits + partitionBits {
		keys = append(keys, Key{k.Hi ^ 1<<(63-bit), k.Lo})
	}
	return keys
}

// audit holds what must be true of a table at rest whatever its history.
func audit(t *testing.T, table *Table) Stats {
	t.Helper()
	if err := scrub(table); err != nil {
		t.Error(err)
	}
	s := table.Stats()
	if slots, bytes := table.Room(); slots != s.Slots || bytes != s.Bytes {
		t.Fatalf("room for %d in %d bytes; a walk finds %+v", slots, bytes, s)
	}
	if s.Subjects != table.Len() || s.Subjects > s.Slots || s.Second > s.Subjects || s.Bytes != int64(s.Slots/bucketSlots*bucketSize) {
		t.Errorf("%d subjects: %+v", table.Len(), s)
	}
	return s
}

func scrub(t *Table) error {
	for i := range Shards {
		if err := t.Scrub(i); err != nil {
			return err
		}
	}
	return nil
}
