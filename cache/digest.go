package cache

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Digest is an order-free checksum of a table's content: the sum, modulo 2^64, over its entries of the xxhash64 of key and
// record. Two tables with equal content have equal digests whatever their histories. It finds faults, not forgers: what
// keeps those out is the signature on the record that carries it.
type Digest uint64

// entryDigest is one entry's share of the digest; an absent entry's is zero.
func entryDigest(k Key, r Record) Digest {
	if r == Removed {
		return 0
	}
	var b [KeySize + 4]byte
	k.Put(b[:])
	binary.LittleEndian.PutUint32(b[KeySize:], uint32(r))
	return Digest(xxhash.Sum64(b[:]))
}

// String is the digest as 16 hex digits.
func (d Digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }
