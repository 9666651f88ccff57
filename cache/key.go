package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/dchest/siphash"
)

// MaxSubject is the length of the longest subject id, in bytes.
const MaxSubject = 64

// KeySize is the length of a key on the wire, in bytes.
const KeySize = 16

// Key is a subject's name in a table, in the log and on disk: SipHash-2-4 with 128 bits of output, of the subject's id under
// the issuer's seed (Aumasson and Bernstein, "SipHash: a fast short-input PRF"). Without the seed it names nobody and nobody
// can aim two ids at one key.
type Key struct{ Hi, Lo uint64 }

// Put writes the key's wire form, KeySize bytes, to b.
func (k Key) Put(b []byte) {
	binary.LittleEndian.PutUint64(b, k.Hi)
	binary.LittleEndian.PutUint64(b[8:], k.Lo)
}

// KeyFrom reads a key's wire form.
func KeyFrom(b []byte) Key {
	return Key{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

// Seed is an issuer's secret of 128 bits. Who holds it and a table can try out ids, so it never lies beside a table on disk.
type Seed struct{ k0, k1 uint64 }

// NewSeed draws a seed.
func NewSeed() Seed {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return seedFrom(b[:])
}

func seedFrom(b []byte) Seed {
	return Seed{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

// Key returns the key of a subject id. It allocates nothing.
func (s Seed) Key(subject []byte) Key {
	hi, lo := siphash.Hash128(s.k0, s.k1, subject)
	return Key{hi, lo}
}

// SeedID names a seed and gives nothing of it away: the first 8 bytes of its SHA-256.
type SeedID [8]byte

// ID returns the seed's id.
func (s Seed) ID() SeedID {
	text, _ := s.MarshalText() // never fails
	sum := sha256.Sum256(text)
	return SeedID(sum[:8])
}

// String is the id as 16 hex digits.
func (id SeedID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes what String returns.
func (id SeedID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// MarshalText writes the seed as 32 hex digits. Mind where to.
func (s Seed) MarshalText() ([]byte, error) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], s.k0)
	binary.LittleEndian.PutUint64(b[8:], s.k1)
	return hex.AppendEncode(nil, b[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *Seed) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 16 {
		return errors.New("a seed is 32 hex digits")
	}
	*s = seedFrom(b)
	return nil
}

// String hides the seed, so that no log shows it by accident.
func (s Seed) String() string { return "seed(secret)" }

// CheckSubject reports why id is no subject id: it must be 1 to MaxSubject bytes of UTF-8 without control characters. It
// allocates nothing for a good id; [IsSubject] allocates nothing at all.
func CheckSubject(id []byte) error {
	switch {
	case len(id) == 0:
		return errors.New("empty; a subject has 1 to 64 bytes")
	case len(id) > MaxSubject:
		return fmt.Errorf("%d bytes; at most %d", len(id), MaxSubject)
	case !plain(id):
		return errors.New("not UTF-8 without control characters")
	}
	return nil
}

// IsSubject reports whether id is a subject id, as CheckSubject does.
func IsSubject(id []byte) bool { return len(id) > 0 && len(id) <= MaxSubject && plain(id) }

// plain reports whether id is UTF-8 without control characters. ASCII, the common case, is decided without decoding, eight bytes at once.
func plain(id []byte) bool {
	for len(id) >= 8 && plainWord(binary.LittleEndian.Uint64(id)) {
		id = id[8:]
	}
	for i := 0; i < len(id); {
		if c := id[i]; c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(id[i:])
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			return false
		}
		i += n
	}
	return true
}

// plainWord reports whether eight bytes are ASCII and no control characters: no high bit is set, none is below 0x20 (or the subtraction sets
// its high bit), none is 0x7f (or adding 1 does).
func plainWord(w uint64) bool {
	const ones = 0x0101_0101_0101_0101
	return (w|(w-0x20*ones)|(w+ones))&(0x80*ones) == 0
}

// MaxIssuer is the length of the longest issuer id, in bytes.
const MaxIssuer = 16

// CheckIssuer reports why id is no issuer id: it must be 1 to MaxIssuer of a-z, 0-9 and '-'. It allocates nothing for a good
// id; [IsIssuer] allocates nothing at all.
func CheckIssuer(id []byte) error {
	if len(id) == 0 || len(id) > MaxIssuer {
		return fmt.Errorf("an issuer id has 1 to %d characters, this one %d", MaxIssuer, len(id))
	}
	for _, c := range id {
		if !ofIssuer(c) {
			return fmt.Errorf("an issuer id is made of a-z, 0-9 and '-', not %q", c)
		}
	}
	return nil
}

// IsIssuer reports whether id is an issuer id, as CheckIssuer does.
func IsIssuer(id []byte) bool {
	for _, c := range id {
		if !ofIssuer(c) {
			return false
		}
	}
	return len(id) > 0 && len(id) <= MaxIssuer
}

func ofIssuer(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' }
