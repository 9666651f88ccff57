package issuer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// Parts says what a snapshot's file consists of: the body of a manifest, a record that its issuer signs, so that anybody may serve
// the file.
//
//	size
//	   8  the batch that makes the table exact, u64
//	   4  number of parts
//	  40  so many times: size u64, SHA-256
//
// The file is the parts, one behind the other: its head, a section a shard, its end.
type Parts struct {
	To    uint64
	Parts []Part
}

// Part is a piece of a snapshot's file.
type Part struct {
	Size   int64 // bytes
	SHA256 [sha256.Size]byte
}

// Number of parts, and bytes of a snapshot, that a manifest can speak of: 1,024 times a table of 900 million.
const (
	maxParts    = 1 << 10
	maxSnapshot = 1 << 44
)

// Snapshot is what an issuer signed of a snapshot.
type Snapshot struct {
	Issuer string
	Epoch  uint64
	Began  cache.Position // as the file itself says
	Time   time.Time
	Parts
}

// Size is the size of the snapshot's file, in bytes.
func (p Parts) Size() (n int64) {
	for _, part := range p.Parts {
		n += part.Size
	}
	return n
}

// SignManifest makes the manifest of a snapshot, and the id by which it is asked for.
func SignManifest(s Snapshot, secret *Secret) (manifest []byte, id string) {
	head := Head{Kind: Manifest, Issuer: s.Issuer, Epoch: s.Epoch, Offset: s.Began.Offset, Prev: s.Began, Time: s.Time}
	b := binary.LittleEndian.AppendUint64(AppendHead(nil, head), s.To)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Parts.Parts)))
	for _, part := range s.Parts.Parts {
		b = binary.LittleEndian.AppendUint64(b, uint64(part.Size))
		b = append(b, part.SHA256[:]...)
	}
	manifest, hash := Sign(b, secret.Key)
	return manifest, snapshotID(hash)
}

func snapshotID(hash Hash) string { return hex.EncodeToString(hash[:16]) }

// OpenManifest reads and verifies a manifest of an issuer.
func OpenManifest(manifest []byte, pub Public) (s Snapshot, id string, err error) {
	head, body, hash, err := Open(manifest)
	if err == nil && (head.Kind != Manifest || head.Issuer != pub.ID || head.Offset != head.Prev.Offset) {
		err = fmt.Errorf("it is no manifest of %s", pub.ID)
	}
	if err == nil {
		err = Verify(manifest, hash, pub.Key)
	}
	if err == nil {
		s.Parts, err = parseParts(body)
	}
	if err != nil {
		return Snapshot{}, "", fmt.Errorf("open manifest: %w", err)
	}
	s.Issuer, s.Epoch, s.Began, s.Time = head.Issuer, head.Epoch, head.Prev, head.Time
	return s, snapshotID(hash), nil
}

func parseParts(b []byte) (p Parts, err error) {
	const partSize = 8 + sha256.Size
	if len(b) < 12 {
		return p, fmt.Errorf("%d bytes; cut short", len(b))
	}
	p.To = binary.LittleEndian.Uint64(b)
	n := binary.LittleEndian.Uint32(b[8:])
	if b = b[12:]; n > maxParts || len(b) < int(n)*partSize {
		return p, fmt.Errorf("%d bytes for %d parts of %d", len(b), n, partSize)
	}
	for i := range int(n) {
		part := b[i*partSize:]
		size := binary.LittleEndian.Uint64(part)
		if size > maxSnapshot {
			return p, fmt.Errorf("part %d of %d bytes", i, size)
		}
		p.Parts = append(p.Parts, Part{int64(size), [sha256.Size]byte(part[8:])})
	}
	return p, nil
}
