package memo

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// A value as it is stored. What is added stands behind the value, so that a Get only cuts what it has appended:
//
//	value     n bytes
//	expires   8 bytes  the entry's end, nanoseconds since 1970, little-endian like the checksum
//	checksum  8 bytes  xxhash64 of (key, value, expires), seeded with the key's length
//	version   1 byte   1
const (
	version = 1
	// Overhead is how many bytes are stored with each value.
	Overhead = 8 + 8 + 1
)

// seal appends value as it is stored.
func seal(dst, key, value []byte, expires int64) []byte {
	b := append(dst, value...)
	b = binary.LittleEndian.AppendUint64(b, uint64(expires))
	b = binary.LittleEndian.AppendUint64(b, checksum(key, b[len(dst):]))
	return append(b, version)
}

// open returns what seal was given, and whether stored is what seal made of it for that key.
func open(key, stored []byte) (value []byte, expires int64, intact bool) {
	n := len(stored) - Overhead
	if n < 0 || stored[n+16] != version || binary.LittleEndian.Uint64(stored[n+8:]) != checksum(key, stored[:n+8]) {
		return nil, 0, false
	}
	return stored[:n], int64(binary.LittleEndian.Uint64(stored[n:])), true
}

// checksum speaks for the key as well: damage that turns one key into another must not hand over its value. The key's length
// as the seed says where the key ends.
func checksum(key, valueAndExpires []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(uint64(len(key)))
	d.Write(key)
	d.Write(valueAndExpires)
	return d.Sum64()
}
