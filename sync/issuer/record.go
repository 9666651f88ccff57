package issuer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A record, all numbers little-endian:
//
//	offset  size
//	     0     2  "SE"
//	     2     1  version, 1
//	     3     1  kind: 1 batch, 2 beat
//	     4     8  offset: of this batch; of a beat, the offset of the last batch before it
//	    12     8  offset of the batch before (a beat: the same as offset)
//	    20    32  hash of that batch, zero at the start of the chain
//	    52     8  time, milliseconds since 1970
//	    60     1  length of the issuer id, n
//	    61     n  issuer id
//	  61+n     …  body, the kind's own (package delta)
//	   -64    64  Ed25519 signature over the hash
//
// The hash of a record is the SHA-256 of all that stands before its signature.
const (
	recordVersion = 1
	headSize      = 61
)

// Kind says what a record's body is.
type Kind uint8

// The kinds of record.
const (
	Batch Kind = 1
	Beat  Kind = 2
)

// Hash is the SHA-256 of a record without its signature.
type Hash [sha256.Size]byte

// Position is a place in an issuer's chain: the last batch up to there. The zero Position is the chain's start.
type Position struct {
	Offset uint64
	Hash   Hash
}

// String reads like "offset 17 (3f2a90c1)".
func (p Position) String() string { return fmt.Sprintf("offset %d (%x)", p.Offset, p.Hash[:4]) }

// Head is what a record says of itself.
type Head struct {
	Kind   Kind
	Issuer string
	Offset uint64   // of this batch, or of the last batch before a beat
	Prev   Position // the batch before; for a beat, the one that it speaks of
	Time   time.Time
}

// AppendHead begins a record: append the body to what it returns, then call [Sign].
func AppendHead(dst []byte, h Head) []byte {
	dst = append(dst, 'S', 'E', recordVersion, byte(h.Kind))
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
	if record[2] != recordVersion {
		return fail("its version is %d, this scanedge knows %d", record[2], recordVersion)
	}
	h.Kind = Kind(record[3])
	if h.Kind != Batch && h.Kind != Beat {
		return fail("its kind %d is unknown", h.Kind)
	}
	n := int(record[60])
	signed := len(record) - ed25519.SignatureSize
	if headSize+n > signed {
		return fail("its issuer id is cut short")
	}
	h.Offset = binary.LittleEndian.Uint64(record[4:])
	h.Prev.Offset = binary.LittleEndian.Uint64(record[12:])
	copy(h.Prev.Hash[:], record[20:])
	h.Time = time.UnixMilli(int64(binary.LittleEndian.Uint64(record[52:]))).UTC()
	h.Issuer = string(record[headSize : headSize+n])
	return h, record[headSize+n : signed], Hash(sha256.Sum256(record[:signed])), nil
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

// ErrChain is the error of a record that does not follow what came before it.
var ErrChain = errors.New("the chain is broken")

// Follows checks that the record, found at an offset of an issuer's log, comes right after position at. For a beat, which
// stands beside the chain, it checks that the beat speaks of at.
func (h Head) Follows(at Position, issuer string, offset uint64) error {
	if h.Kind == Beat {
		offset = at.Offset
	}
	switch {
	case h.Issuer != issuer:
		return fmt.Errorf("%w: a record of issuer %q in the log of %q", ErrChain, h.Issuer, issuer)
	case h.Offset != offset:
		return fmt.Errorf("%w: it says offset %d and stands at %d", ErrChain, h.Offset, offset)
	case h.Prev != at:
		return fmt.Errorf("%w: it follows %s, not %s", ErrChain, h.Prev, at)
	}
	return nil
}
