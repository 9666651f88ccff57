package delta

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/scanedge/scanedge/cache"
)

// DeltaSize is the size of a delta in a batch, in bytes.
const DeltaSize = cache.KeySize + 4

// Info is what a batch says of the push that it was.
type Info struct {
	Pusher string // the name of the token used
	Note   string // what the pusher had to say; may be empty
	Key    string // its Idempotency-Key; may be empty

	Approver string // the name of the token that approved it; empty if it needed none
}

// Batch is what one push appended: the body of a batch record.
//
//	size
//	   2  size of the fields, n
//	   n  fields: tag u8, size u16, value. Tags: 1 pusher, 2 note, 3 idempotency key, 4 approver; others are passed over
//	   4  count
//	  20  count times: key, record
//
// It reads its deltas from the bytes that it was parsed from, which must not change meanwhile.
type Batch struct {
	Info
	deltas []byte
}

const (
	tagPusher = 1 + iota
	tagNote
	tagKey
	tagApprover
)

// maxField is the size of the longest field, in bytes; longer ones are cut.
const maxField = 1 << 10

// BatchSize returns the size of what AppendBatch appends.
func BatchSize(info Info, deltas int) int {
	return 2 + info.size() + 4 + deltas*DeltaSize
}

// AppendBatch appends the batch's wire form. Fields of info are cut at 1,024 bytes.
func AppendBatch(dst []byte, info Info, deltas []cache.Delta) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(info.size()))
	for i, value := range info.values() {
		if value != "" {
			dst = append(dst, byte(tagPusher+i))
			dst = binary.LittleEndian.AppendUint16(dst, uint16(len(value)))
			dst = append(dst, value...)
		}
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(deltas)))
	return appendDeltas(dst, deltas)
}

func appendDeltas(dst []byte, deltas []cache.Delta) []byte {
	for _, d := range deltas {
		dst = binary.LittleEndian.AppendUint64(dst, d.Key.Hi)
		dst = binary.LittleEndian.AppendUint64(dst, d.Key.Lo)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Record))
	}
	return dst
}

// values are the fields in the order of their tags.
func (i Info) values() [4]string {
	cut := func(s string) string { return s[:min(len(s), maxField)] }
	return [4]string{cut(i.Pusher), cut(i.Note), cut(i.Key), cut(i.Approver)}
}

func (i Info) size() (n int) {
	for _, value := range i.values() {
		if value != "" {
			n += 3 + len(value)
		}
	}
	return n
}

// ParseBatch reads what AppendBatch wrote.
func ParseBatch(b []byte) (Batch, error) {
	if len(b) < 2 || len(b) < 2+int(binary.LittleEndian.Uint16(b))+4 {
		return Batch{}, fmt.Errorf("parse batch of %d bytes: cut short", len(b))
	}
	n := 2 + int(binary.LittleEndian.Uint16(b))
	info, err := parseInfo(b[2:n])
	if err != nil {
		return Batch{}, fmt.Errorf("parse batch of %d bytes: %w", len(b), err)
	}
	count, deltas := uint64(binary.LittleEndian.Uint32(b[n:])), b[n+4:]
	if uint64(len(deltas)) < count*DeltaSize {
		return Batch{}, fmt.Errorf("parse batch: %d bytes for %d deltas of %d", len(deltas), count, DeltaSize)
	}
	return Batch{info, deltas[:count*DeltaSize]}, nil
}

func parseInfo(b []byte) (i Info, err error) {
	for len(b) > 0 {
		if len(b) < 3 || len(b) < 3+int(binary.LittleEndian.Uint16(b[1:])) {
			return i, fmt.Errorf("a field is cut short")
		}
		n := 3 + int(binary.LittleEndian.Uint16(b[1:]))
		value := string(b[3:n])
		switch b[0] {
		case tagPusher:
			i.Pusher = value
		case tagNote:
			i.Note = value
		case tagKey:
			i.Key = value
		case tagApprover:
			i.Approver = value
		}
		b = b[n:]
	}
	return i, nil
}

// Sum is the SHA-256 of a push's deltas in their wire form: what tells a retry from another push.
type Sum [sha256.Size]byte

// Sum returns the sum of the batch's deltas.
func (b Batch) Sum() Sum { return sha256.Sum256(b.deltas) }

// Len returns the number of deltas.
func (b Batch) Len() int { return len(b.deltas) / DeltaSize }

// At returns delta i, 0 <= i < Len.
func (b Batch) At(i int) cache.Delta {
	d := b.deltas[i*DeltaSize : (i+1)*DeltaSize]
	return cache.Delta{Key: cache.KeyFrom(d), Record: cache.Record(binary.LittleEndian.Uint32(d[cache.KeySize:]))}
}

// Apply puts the deltas into t, in order, as the batch at a position.
func (b Batch) Apply(t *cache.Table, at cache.Position) {
	t.Begin(at)
	defer t.End()
	var run [256]cache.Delta
	for i := 0; i < b.Len(); {
		n := min(b.Len()-i, len(run))
		for j := range run[:n] {
			run[j] = b.At(i + j)
		}
		t.PutMany(run[:n])
		i += n
	}
}

// Beat is the body of a beat record: what the table holds at the place before it.
//
//	size
//	   8  count of subjects
//	   8  digest
//	   2  number of shards
//	   8  so many times: the shard's digest
type Beat struct {
	Count  uint64
	Digest cache.Digest
	Shards [cache.Shards]cache.Digest // whose sum is the digest: so a table that differs knows where
}

const beatSize = 18 + 8*cache.Shards

// AppendBeat appends the beat's wire form.
func AppendBeat(dst []byte, b Beat) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, b.Count)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Digest))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(b.Shards)))
	for _, d := range b.Shards {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(d))
	}
	return dst
}

// ParseBeat reads what AppendBeat wrote.
func ParseBeat(b []byte) (beat Beat, err error) {
	if len(b) < beatSize || binary.LittleEndian.Uint16(b[16:]) != cache.Shards {
		return beat, fmt.Errorf("parse beat: %d bytes, of %d for %d shards", len(b), beatSize, cache.Shards)
	}
	beat.Count, beat.Digest = binary.LittleEndian.Uint64(b), cache.Digest(binary.LittleEndian.Uint64(b[8:]))
	for i := range beat.Shards {
		beat.Shards[i] = cache.Digest(binary.LittleEndian.Uint64(b[18+8*i:]))
	}
	return beat, nil
}

// BeatOf returns the beat of a table as it is now; its writer must be at rest.
func BeatOf(t *cache.Table) Beat { return Beat{uint64(t.Len()), t.Digest(), t.Digests()} }

// Differ returns the shards in which two beats differ.
func (b Beat) Differ(other Beat) (shards []int) {
	for i, d := range b.Shards {
		if d != other.Shards[i] {
			shards = append(shards, i)
		}
	}
	return shards
}

// Last returns the index of the batch's last delta for the subject of a key, as [cache.Key.Stored] has it, or -1.
func (b Batch) Last(key cache.Key) int {
	for i := b.Len() - 1; i >= 0; i-- {
		if binary.LittleEndian.Uint64(b.deltas[i*DeltaSize+8:]) == key.Lo || key.Lo == 1 { // the low half tells nearly all apart
			if b.At(i).Key.Stored() == key {
				return i
			}
		}
	}
	return -1
}
