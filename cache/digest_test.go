package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A table that differs in one record, in one key's bit or by one entry has another digest.
func TestDigestSeesAnySingleChange(t *testing.T) {
	const cases = 1_000_000
	rnd := rand.New(rand.NewPCG(5, 6))
	for range cases {
		k, r := Key{rnd.Uint64(), rnd.Uint64()}, record(rnd)
		other, otherKey := r^1<<rnd.IntN(32), k
		if bit := rnd.IntN(128); bit < 64 {
			otherKey.Hi ^= 1 << bit
		} else {
			otherKey.Lo ^= 1 << (bit - 64)
		}
		d := entryDigest(k, r)
		if d == 0 || other != Removed && entryDigest(k, other) == d || entryDigest(otherKey, r) == d {
			t.Fatalf("%v %v: a change does not show", k, r)
		}
	}
}

// Whoever chooses ids without the seed can't aim: neither at a shard nor at a place in it. 99.9 % of honest draws stay within the
// bound on chi-squared for 255 degrees of freedom.
func TestChosenSubjectsSpread(t *testing.T) {
	const n, bound = 200_000, 330.5
	for name, id := range map[string]func(i int) string{
		"counted":       func(i int) string { return fmt.Sprintf("d%09d", i) },
		"long prefix":   func(i int) string { return fmt.Sprintf("%050d%09d", 0, i) },
		"one byte each": func(i int) string { return string(rune('a'+i%26)) + fmt.Sprint(i/26) },
		"bits":          func(i int) string { return fmt.Sprintf("%064b", uint64(i)<<20) },
	} {
		seed := Seed{3, 9}
		var byShard, byPlace [shards]float64
		for i := range n {
			k := seed.Key([]byte(id(i)))
			byShard[k.Hi>>(64-shardBits)]++
			byPlace[k.Lo>>(64-shardBits)]++
		}
		for what, counts := range map[string][shards]float64{"shards": byShard, "places": byPlace} {
			chi, want := 0.0, float64(n)/shards
			for _, c := range counts {
				chi += (c - want) * (c - want) / want
			}
			if chi > bound {
				t.Errorf("%s: %s are uneven, chi-squared %.0f over %.1f", name, what, chi, bound)
			}
		}
	}
}
