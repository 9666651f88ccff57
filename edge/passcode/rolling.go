package passcode

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"

	"github.com/scanedge/scanedge/cache"
)

// StepSeconds is how long a step lasts.
const StepSeconds = 30

// Step is the step of a time in seconds since 1970: what a rolling code made then carries. Before 1970 it is 0.
func Step(unix int64) uint32 { return uint32(max(0, unix) / StepSeconds) }

// Secret is what a phone makes a subject's codes with. Who has it is the subject, to an edge, until the issuer's code key is changed.
type Secret [sha256.Size]byte

// String hides the secret, so that no log shows it by accident.
func (Secret) String() string { return "secret(hidden)" }

// GoString hides it too.
func (s Secret) GoString() string { return s.String() }

// Mint makes the rolling code of a step. The secret must be that of the key and the ids, keyID 1 to 255, and the ids must be what
// [cache.CheckIssuer] and [cache.CheckSubject] let pass: with others it makes a code that no edge takes.
func (s Secret) Mint(issuer string, keyID byte, subject []byte, step uint32) string {
	c := named(Rolling, keyID, issuer, subject)
	c.Step = step
	c.MAC = s.mac(&c)
	return c.text()
}

// mac is the MAC that a rolling code of this secret has.
func (s *Secret) mac(c *Code) [macSize]byte {
	var buf [maxHead + 4 + cache.MaxSubject]byte
	m := appendHead(buf[:0], c.Issuer(), c.KeyID)
	m = binary.BigEndian.AppendUint32(m, c.Step)
	sum := hmac((*[sha256.Size]byte)(s), append(m, c.Subject()...))
	return [macSize]byte(sum[:])
}

// Key is one of an issuer's code keys, ready for use. It does not change: any number may use it at once. Make one with [NewKey].
type Key struct {
	id           byte
	inner, outer []byte // the hash's states after the two padded keys of the HMAC under HKDF's PRK
	head         []byte // of HKDF's info
	of           string // the issuer
}

const keySalt = "scanedge code key v1"

// NewKey makes a key of an issuer's secret: 32 random bytes. The id is 1 to 255, the issuer what [cache.CheckIssuer] lets pass.
func NewKey(issuer string, id byte, secret []byte) Key {
	prk, err := hkdf.Extract(sha256.New, secret, []byte(keySalt))
	if err != nil { // only where nothing but FIPS 140 is allowed, for a secret too short for it
		panic("passcode: " + err.Error())
	}
	return Key{id, stateAfter(prk, innerPad), stateAfter(prk, outerPad), appendHead(nil, []byte(issuer), id), issuer}
}

// stateAfter is the hash's state when a key of 32 bytes has gone in with its pad.
func stateAfter(key []byte, pad [sha256.BlockSize]byte) []byte {
	subtle.XORBytes(pad[:], pad[:], key)
	h := sha256.New()
	h.Write(pad[:])
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("passcode: " + err.Error()) // documented not to happen
	}
	return state
}

// ID is the key's id.
func (k *Key) ID() byte { return k.id }

// String hides the key, so that no log shows it by accident.
func (Key) String() string { return "key(secret)" }

// GoString hides it too.
func (k Key) GoString() string { return k.String() }

// Secret derives a subject's secret. It allocates nothing: the compiler knows what New returns and keeps it on the stack.
func (k *Key) Secret(subject []byte) (s Secret) {
	var buf [maxHead + cache.MaxSubject + 1]byte
	info := append(append(buf[:0], k.head...), subject...)
	h := sha256.New()
	restore(h, k.inner)
	h.Write(append(info, 1)) // HKDF-Expand: one block is all that is asked for
	h.Sum(s[:0])
	restore(h, k.outer)
	h.Write(s[:])
	h.Sum(s[:0])
	return s
}

// restore gives a hash a state. Inlined, or the hash would be on the heap.
func restore(h hash.Hash, state []byte) {
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state) != nil {
		panic("passcode: a key that NewKey did not make")
	}
}

// Verify reports whether c is a rolling code that was made with this key: whenever that was. How long it takes does not depend on
// where, or whether, c is wrong. It allocates nothing.
func (k *Key) Verify(c *Code) bool {
	s := k.Secret(c.Subject())
	want := s.mac(c)
	good := subtle.ConstantTimeCompare(want[:], c.MAC[:]) == 1
	return good && c.Kind == Rolling && c.KeyID == k.id && string(c.Issuer()) == k.of
}

// maxHead is the length of the longest head, in bytes.
const maxHead = 3 + 1 + cache.MaxIssuer + 1 + 1

// appendHead appends what the info and each message begin with.
func appendHead(b, issuer []byte, keyID byte) []byte {
	b = append(b, "SE1\x00"...)
	b = append(b, issuer...)
	return append(b, 0, keyID)
}

// maxMessage is the length of the longest message that is authenticated, in bytes.
const maxMessage = maxHead + 4 + cache.MaxSubject

// The pads of RFC 2104.
var (
	innerPad = [sha256.BlockSize]byte(bytes.Repeat([]byte{0x36}, sha256.BlockSize))
	outerPad = [sha256.BlockSize]byte(bytes.Repeat([]byte{0x5c}, sha256.BlockSize))
)

// hmac is the HMAC-SHA256 of at most maxMessage bytes. crypto/hmac would allocate.
func hmac(key *[sha256.Size]byte, message []byte) [sha256.Size]byte {
	var in [sha256.BlockSize + maxMessage]byte
	copy(in[:], innerPad[:])
	subtle.XORBytes(in[:], in[:], key[:])
	n := copy(in[sha256.BlockSize:], message)
	sum := sha256.Sum256(in[:sha256.BlockSize+n])
	var out [sha256.BlockSize + sha256.Size]byte
	copy(out[:], outerPad[:])
	subtle.XORBytes(out[:], out[:], key[:])
	copy(out[sha256.BlockSize:], sum[:])
	return sha256.Sum256(out[:])
}
