package memo

import (
	"bytes"
	"math"
	"testing"
)

func TestNoDamagedValueOpens(t *testing.T) {
	key, value := []byte("a key"), []byte("a value")
	stored := seal(nil, key, value, 1_800_000_000e9)
	m := newMemo(t)
	refused := func(what string, at int, key, stored []byte) {
		t.Helper()
		if v, expires, ok := open(key, stored); ok {
			t.Errorf("%s %d: opens as %q until %d", what, at, v, expires)
		}
		m.cache.Set(key, stored)
		if got, ok := m.Get([]byte("kept"), key, 0); ok || string(got) != "kept" {
			t.Errorf("%s %d: the memo answers %q, %v", what, at, got, ok)
		}
	}
	for n := range stored {
		refused("cut to", n, key, stored[:n])
		refused("cut by", n+1, key, stored[n+1:])
	}
	for bit := range len(stored) * 8 {
		refused("value bit", bit, key, flip(stored, bit))
	}
	for bit := range len(key) * 8 {
		refused("key bit", bit, flip(key, bit), stored)
	}
	refused("version", version+1, key, append(bytes.Clone(stored[:len(stored)-1]), version+1))
	refused("longer by", 1, key, append(bytes.Clone(stored), version))
	// Bytes that move from the value to the key leave what is hashed in a row as it was.
	refused("key longer by", 1, []byte("a keya"), stored[1:])
	if s := m.Stats(); s.Damaged == 0 || s.Damaged != s.Misses || s.Hits != 0 {
		t.Errorf("all of them are misses by damage: %+v", s)
	}
	m.cache.Set(key, stored)
	if got, ok := m.Get(nil, key, 0); !ok || !bytes.Equal(got, value) {
		t.Errorf("undamaged: %q, %v", got, ok)
	}
}

func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

func FuzzValue(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), int64(1_800_000_000e9), uint(70))
	f.Add([]byte(nil), []byte(nil), int64(math.MinInt64), uint(0))
	f.Add([]byte("key"), seal(nil, []byte("key"), []byte("value"), 7), int64(-1), uint(3))
	f.Fuzz(func(t *testing.T, key, value []byte, expires int64, bit uint) {
		before := []byte("before")
		stored := seal(before, key, value, expires)
		if !bytes.HasPrefix(stored, before) || len(stored) != len(before)+len(value)+Overhead {
			t.Fatalf("%q sealed behind %q is %q", value, before, stored)
		}
		stored = stored[len(before):]
		if v, e, ok := open(key, stored); !ok || !bytes.Equal(v, value) || e != expires {
			t.Fatalf("sealed %q until %d, opened %q until %d, %v", value, expires, v, e, ok)
		}
		damaged := flip(stored, int(bit%uint(len(stored)*8)))
		if v, _, ok := open(key, damaged); ok {
			t.Fatalf("bit %d flipped, opens as %q", bit, v)
		}
		// Cut to within the value only the caller's own bytes are left, and those may be anything, a sealed value too.
		n := len(value) + 1 + int(bit%(Overhead-1))
		if v, _, ok := open(key, stored[:n]); ok {
			t.Fatalf("cut to %d, opens as %q", n, v)
		}
		// What opens is what seal makes, and nothing else: here value stands for any bytes that memory may hold.
		if v, e, ok := open(key, value); ok && !bytes.Equal(seal(nil, key, v, e), value) {
			t.Fatalf("%q opens as %q until %d, which is sealed otherwise", value, v, e)
		}
	})
}
