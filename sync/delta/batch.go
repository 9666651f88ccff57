package delta

import (
	"encoding/binary"
	"fmt"

	"github.com/scanedge/scanedge/cache"
)

// Delta is one subject's new record; cache.Removed removes it.
type Delta struct {
	Key    cache.Key
	Record cache.Record
}

// DeltaSize is the size of a delta in a batch, in bytes.
const DeltaSize = cache.KeySize + 4

// Batch is what one push appended: the body of a batch record.
//
//	size
//	   1  length of the pusher's name, n
//	   n  the pusher's name: that of the token used
//	   4  count
//	  20  count times: key, record
//
// It reads its deltas from the bytes that it was parsed from, which must not change meanwhile.
type Batch struct {
	Pusher string
	deltas []byte
}

// maxPusher is the length of the longest pusher's name in a batch, in bytes.
const maxPusher = 255

// BatchSize returns the size of what AppendBatch appends.
func BatchSize(pusher string, deltas int) int {
	return 1 + min(len(pusher), maxPusher) + 4 + deltas*DeltaSize
}

// AppendBatch appends the batch's wire form. A pusher's name is cut at 255 bytes.
func AppendBatch(dst []byte, pusher string, deltas []Delta) []byte {
	pusher = pusher[:min(len(pusher), maxPusher)]
	dst = append(dst, byte(len(pusher)))
	dst = append(dst, pusher...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(deltas)))
	for _, d := range deltas {
		dst = binary.LittleEndian.AppendUint64(dst, d.Key.Hi)
		dst = binary.LittleEndian.AppendUint64(dst, d.Key.Lo)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Record))
	}
	return dst
}

// ParseBatch reads what AppendBatch wrote.
func ParseBatch(b []byte) (Batch, error) {
	if len(b) < 1 || len(b) < 1+int(b[0])+4 {
		return Batch{}, fmt.Errorf("parse batch of %d bytes: cut short", len(b))
	}
	n := 1 + int(b[0])
	count, deltas := binary.LittleEndian.Uint32(b[n:]), b[n+4:]
	if uint64(len(deltas)) != uint64(count)*DeltaSize {
		return Batch{}, fmt.Errorf("parse batch: %d bytes for %d deltas of %d", len(deltas), count, DeltaSize)
	}
	return Batch{Pusher: string(b[1:n]), deltas: deltas}, nil
}

// Len returns the number of deltas.
func (b Batch) Len() int { return len(b.deltas) / DeltaSize }

// At returns delta i, 0 <= i < Len.
func (b Batch) At(i int) Delta {
	d := b.deltas[i*DeltaSize : (i+1)*DeltaSize]
	return Delta{cache.KeyFrom(d), cache.Record(binary.LittleEndian.Uint32(d[cache.KeySize:]))}
}

// Apply puts the deltas into t, in order.
func (b Batch) Apply(t *cache.Table) {
	for i := range b.Len() {
		d := b.At(i)
		t.Put(d.Key, d.Record)
	}
}

// Beat is the body of a beat record: what the table holds at the record's offset.
//
//	size
//	   8  count of subjects
//	   8  digest
type Beat struct {
	Count  uint64
	Digest cache.Digest
}

const beatSize = 16

// AppendBeat appends the beat's wire form.
func AppendBeat(dst []byte, b Beat) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, b.Count)
	return binary.LittleEndian.AppendUint64(dst, uint64(b.Digest))
}

// ParseBeat reads what AppendBeat wrote.
func ParseBeat(b []byte) (Beat, error) {
	if len(b) != beatSize {
		return Beat{}, fmt.Errorf("parse beat: %d bytes, not %d", len(b), beatSize)
	}
	return Beat{binary.LittleEndian.Uint64(b), cache.Digest(binary.LittleEndian.Uint64(b[8:]))}, nil
}

// BeatOf returns the beat of a table as it is now; its writer must be at rest.
func BeatOf(t *cache.Table) Beat { return Beat{uint64(t.Len()), t.Digest()} }
