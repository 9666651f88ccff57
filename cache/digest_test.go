package cache

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
)

func digestOf(k Key, r Record) Digest { return entryDigest(shardOf(k), addressOf(k), r) }

// A table that differs in one record, in one key's bit or by one entry has another digest.
func TestDigestSeesAnySingleChange(t *testing.T) {
	const cases = 1_000_000
	rnd := rand.New(rand.NewPCG(5, 6))
	for range cases {
		k, r := Key{rnd.Uint64(), rnd.Uint64()}, record(rnd)
		other, otherKey := r^1<<rnd.IntN(32), k
		if bit := rnd.IntN(keyBits); bit < 64 {
			otherKey.Lo ^= 1 << bit
		} else {
			otherKey.Hi ^= 1 << (63 + 64 - bit)
		}
		d := digestOf(k, r)
		if d == 0 || other != Removed && digestOf(k, other) == d || digestOf(otherKey, r) == d {
			t.Fatalf("%v %v: a change does not show", k, r)
		}
	}
}

func TestXXHash16IsXXHash(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		a, b := rnd.Uint64()>>rnd.IntN(64), rnd.Uint64()>>rnd.IntN(64)
		in := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, a), b)
		if got, want := xxhash16(a, b), xxhash.Sum64(in); got != want {
			t.Fatalf("%x %x: %x, want %x", a, b, got, want)
		}
	}
}

// Whoever chooses ids without the seed can't aim: neither at a shard nor at a place in it. 99.9 % of honest draws stay within the
// bound on chi-squared for 127 degrees of freedom.
func TestChosenSubjectsSpread(t *testing.T) {
	const n, bound = 200_000, 182.0
	for name, id := range map[string]func(i int) string{
		"counted":       func(i int) string { return fmt.Sprintf("d%09d", i) },
		"long prefix":   func(i int) string { return fmt.Sprintf("%050d%09d", 0, i) },
		"one byte each": func(i int) string { return string(rune('a'+i%26)) + fmt.Sprint(i/26) },
		"bits":          func(i int) string { return fmt.Sprintf("%064b", uint64(i)<<20) },
	} {
		seed := Seed{3, 9}
		var byShard, byPlace [Shards]float64
		for i := range n {
			k := seed.Key([]byte(id(i)))
			byShard[shardOf(k)]++
			byPlace[k.Lo>>(64-shardBits)]++
		}
		for what, counts := range map[string][Shards]float64{"shards": byShard, "places": byPlace} {
			chi, want := 0.0, float64(n)/Shards
			for _, c := range counts {
				chi += (c - want) * (c - want) / want
			}
			if chi > bound {
				t.Errorf("%s: %s are uneven, chi-squared %.0f over %.1f", name, what, chi, bound)
			}
		}
	}
}
