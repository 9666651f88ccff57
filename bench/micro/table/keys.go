package table

import (
	"math/bits"

	"github.com/scanedge/scanedge/cache"
)

// Subjects are numbers and their keys follow from them: an array of 900 million keys would be larger than the table. The price
// of this arithmetic is in all figures, and stands beside them as the loop "keys".

// mix is the finaliser of splitmix64: a bijection whose output passes for random (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// draw maps 64 random bits to a number below n, by multiply-shift.
func draw(random, n uint64) uint64 {
	i, _ := bits.Mul64(random, n)
	return i
}

// keyOf is the key of subject i. Low halves are all different, so that the stores that have only them hold as many entries.
func keyOf(i uint64) cache.Key { return cache.Key{Hi: mix(i ^ 0xA5<<56), Lo: lowOf(i)} }

func lowOf(i uint64) uint64 { return mix(i ^ 0x5A<<56) }

// absent is what is added to a subject's number to have one that no table holds.
const absent = 1 << 48

// recordOf is one of the records that subject i may have: status and reason by a hash, without an end.
func recordOf(i, version uint64) cache.Record {
	return cache.Record(uint32(mix(i^version<<48)) | 1<<24 - 1)
}
