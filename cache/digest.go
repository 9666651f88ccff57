package cache

import (
	"fmt"
	"math/bits"
)

// Digest is an order-free checksum of a table's content: the sum, modulo 2^64, over its entries of the xxhash64 of the key's
// bits that count and the record. Two tables with equal content have equal digests whatever their histories. It finds faults,
// not forgers: what keeps those out is the signature on the record that carries it.
type Digest uint64

// entryDigest is one entry's share of the digest; an absent entry's is zero.
func entryDigest(shard uint64, at address, r Record) Digest {
	if r == Removed {
		return 0
	}
	return Digest(xxhash16(at.tag, besideTag(shard, at, uint32(r))))
}

// besideTag is what the digest takes of an entry beside its tag.
func besideTag(shard uint64, at address, record uint32) uint64 {
	return (shard<<partitionBits|at.partition)<<32 | uint64(record)
}

// xxhash16 is the xxhash64 of two words in little-endian order, with seed 0: the library's for input of any length costs three times
// as much, and a load, a scrub and a put are made of little else.
func xxhash16(a, b uint64) uint64 {
	const (
		prime1 = 11400714785074694791
		prime2 = 14029467366897019727
		prime3 = 1609587929392839161
		prime4 = 9650029242287828579
		prime5 = 2870177450012600261
	)
	h := uint64(prime5 + 16)
	h ^= bits.RotateLeft64(a*prime2, 31) * prime1
	h = bits.RotateLeft64(h, 27)*prime1 + prime4
	h ^= bits.RotateLeft64(b*prime2, 31) * prime1
	h = bits.RotateLeft64(h, 27)*prime1 + prime4
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// String is the digest as 16 hex digits.
func (d Digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }
