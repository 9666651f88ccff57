package issuer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// A record, all numbers little-endian:
//
//	offset  size
//	     0     2  "SE"
//	     2     1  version of the scanedge that wrote it, 2
//	     3     1  the oldest version that can read it, 2
//	     4     1  kind: 1 batch, 2 beat, 3 reign, 4 manifest
//	     5     3  zero
//	     8     8  epoch
//	    16     8  offset where it stands; of a manifest, where its snapshot was begun
//	    24     8  offset of the chained record before it; of a manifest, where its snapshot was begun
//	    32    32  hash of that record, zero at the start of the chain
//	    64     8  time, milliseconds since 1970
//	    72     1  length of the issuer id, n
//	    73     n  issuer id
//	  73+n     …  body, the kind's own
//	   -64    64  Ed25519 signature over the hash
//
// The hash of a record is the SHA-256 of all that stands before its signature. A later version that adds to a body what an older
// one may pass over says so by the oldest version that can read it; readers pass over what follows the part of a body that they
// know.
const (
	recordVersion = 2
	headSize      = 73
)

// Kind says what a record's body is.
type Kind uint8

// The kinds of record. Batches and reigns are chained; a beat stands beside the chain and speaks of the place before it.
const (
	Batch    Kind = 1 // deltas
	Beat     Kind = 2 // what the table holds here
	Reign    Kind = 3 // an origin begins to write: its epoch is a new one
	Manifest Kind = 4 // what a snapshot consists of; in no log
)

// Chained reports whether records of this kind are links of the chain.
func (k Kind) Chained() bool { return k == Batch || k == Reign }

// Hash is the SHA-256 of a record without its signature.
type Hash = [sha256.Size]byte

// Head is what a record says of itself.
type Head struct {
	Kind   Kind
	Issuer string
	Epoch  uint64         // the reign in which it was written; each start of an origin begins one
	Offset uint64         // where it stands in the log
	Prev   cache.Position // the chained record before it
	Time   time.Time      // by the origin's clock
}

// AppendHead begins a record: append the body to what it returns, then call [Sign].
func AppendHead(dst []byte, h Head) []byte {
	dst = append(dst, 'S', 'E', recordVersion, recordVersion, byte(h.Kind), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.Epoch)
	dst = binary.LittleEndian.AppendUint64(dst, h.Offset)
	dst = binary.LittleEndian.AppendUint64(dst, h.Prev.Offset)
	dst = append(dst, h.Prev.Hash[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Time.UnixMilli()))
	dst = append(dst, byte(len(h.Issuer)))
	return append(dst, h.Issuer...)
}

// Sign ends the record that AppendHead began, and returns it with its hash.
func Sign(record []byte, key ed25519.PrivateKey) ([]byte, Hash) {
	hash := Hash(sha256.Sum256(record))
	return append(record, ed25519.Sign(key, hash[:])...), hash
}

// ErrVersion is the error of a record that only a later scanedge can read.
var ErrVersion = errors.New("a later version of scanedge wrote it")

// Open reads a record's head and body, which is part of record, and its hash. It does not check the signature.
func Open(record []byte) (h Head, body []byte, hash Hash, err error) {
	fail := func(format string, a ...any) (Head, []byte, Hash, error) {
		return Head{}, nil, Hash{}, fmt.Errorf("open record of %d bytes: "+format, append([]any{len(record)}, a...)...)
	}
	if len(record) < headSize+1+ed25519.SignatureSize {
		return fail("too short")
	}
	if !bytes.HasPrefix(record, []byte("SE")) {
		return fail("it does not begin with SE")
	}
	if record[2] < recordVersion {
		return fail("its version is %d, this scanedge reads %d and later", record[2], recordVersion)
	}
	if record[3] > recordVersion {
		return fail("%w: version %d, readable from %d on, and this one is %d; run the newer release", ErrVersion, record[2], record[3], recordVersion)
	}
	n := int(record[72])
	signed := len(record) - ed25519.SignatureSize
	if headSize+n > signed {
		return fail("its issuer id is cut short")
	}
	h.Kind = Kind(record[4])
	h.Epoch = binary.LittleEndian.Uint64(record[8:])
	h.Offset = binary.LittleEndian.Uint64(record[16:])
	h.Prev.Offset = binary.LittleEndian.Uint64(record[24:])
	copy(h.Prev.Hash[:], record[32:])
	h.Time = time.UnixMilli(int64(binary.LittleEndian.Uint64(record[64:]))).UTC()
	h.Issuer = string(record[headSize : headSize+n])
	return h, record[headSize+n : signed], Hash(sha256.Sum256(record[:signed])), nil
}

// OffsetOf returns the offset where a record says that it stands, unchecked; 0 if it is too short to say so.
func OffsetOf(record []byte) uint64 {
	if len(record) < headSize {
		return 0
	}
	return binary.LittleEndian.Uint64(record[16:])
}

// ErrSignature is the error of a record that its issuer did not sign.
var ErrSignature = errors.New("the signature is not the issuer's")

// Verify checks the signature of a record that Open read and hashed.
func Verify(record []byte, hash Hash, key ed25519.PublicKey) error {
	if !ed25519.Verify(key, hash[:], record[len(record)-ed25519.SignatureSize:]) {
		return ErrSignature
	}
	return nil
}

// RecordSize returns the size of the signed record that head and a body of so many bytes make.
func RecordSize(h Head, body int) int {
	return headSize + len(h.Issuer) + body + ed25519.SignatureSize
}

// The errors of a record that does not follow what came before it. All of them are an ErrChain.
var (
	ErrChain = errors.New("the chain is broken")
	ErrHole  = fmt.Errorf("%w: records before it are missing", ErrChain)
	ErrFork  = fmt.Errorf("%w: it follows another past", ErrChain)
)

// Follows checks that the record, found at an offset of an issuer's log, comes right after position at. For a beat, which
// stands beside the chain, it checks that the beat speaks of at.
func (h Head) Follows(at cache.Position, issuer string, offset uint64) error {
	switch {
	case h.Issuer != issuer:
		return fmt.Errorf("%w: a record of issuer %q in the log of %q", ErrChain, h.Issuer, issuer)
	case h.Offset != offset:
		return fmt.Errorf("%w: it says offset %d and stands at %d", ErrChain, h.Offset, offset)
	case h.Prev.Offset > at.Offset:
		return fmt.Errorf("%w: it follows %s, not %s", ErrHole, h.Prev, at)
	case h.Prev != at:
		return fmt.Errorf("%w: it follows %s, not %s", ErrFork, h.Prev, at)
	}
	return nil
}
