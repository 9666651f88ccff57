package passcode

import (
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
	return string(s.AppendMint(make([]byte, 0, MaxCode), issuer, keyID, subject, step))
}

// AppendMint appends the code that [Secret.Mint] makes to b. With room for [MaxCode] bytes there it allocates nothing.
func (s *Secret) AppendMint(b []byte, issuer string, keyID byte, subject []byte, step uint32) []byte {
	c := named(Rolling, keyID, issuer, subject)
	c.Step = step
	c.MAC = s.mac(&c)
	return c.appendText(b)
}

// mac is the MAC that a rolling code of this secret has.
func (s *Secret) mac(c *Code) [macSize]byte {
	var inner [sha256.BlockSize + maxBlocks + behind]byte
	var outer [2*sha256.BlockSize + behind]byte
	s.pad(inner[:sha256.BlockSize], innerPad)
	s.pad(outer[:sha256.BlockSize], outerPad)
	m := appendHead(inner[:sha256.BlockSize], c.Issuer(), c.KeyID)
	m = binary.BigEndian.AppendUint32(m, c.Step)
	m = append(m, c.Subject()...)
	sum := hmac(&fresh, &fresh, blocks(inner[:], len(m), 0), outer[:])
	return [macSize]byte(sum[:])
}

// Key is one of an issuer's code keys, ready for use. It does not change: any number may use it at once. Make one with [NewKey].
type Key struct {
	id           byte
	inner, outer state  // of the hash, after the two padded keys of the HMAC under HKDF's PRK
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
	var inner, outer [sha256.BlockSize]byte
	(*Secret)(prk).pad(inner[:], innerPad)
	(*Secret)(prk).pad(outer[:], outerPad)
	return Key{id, stateAfter(inner[:]), stateAfter(outer[:]), appendHead(nil, []byte(issuer), id), issuer}
}

// ID is the key's id.
func (k *Key) ID() byte { return k.id }

// String hides the key, so that no log shows it by accident.
func (Key) String() string { return "key(secret)" }

// GoString hides it too.
func (k Key) GoString() string { return k.String() }

// Secret derives a subject's secret. It allocates nothing.
func (k *Key) Secret(subject []byte) Secret {
	var inner [maxBlocks + behind]byte
	var outer [sha256.BlockSize + behind]byte
	info := append(append(append(inner[:0], k.head...), subject...), 1) // HKDF-Expand: one block is all that is asked for
	return hmac(&k.inner, &k.outer, blocks(inner[:], len(info), sha256.BlockSize), outer[:])
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

// maxMessage is the length of the longest message that is authenticated, in bytes. HKDF's info is shorter.
const maxMessage = maxHead + 4 + cache.MaxSubject

// maxBlocks is the length of such a message with what SHA-256 puts behind it.
const maxBlocks = (maxMessage + 1 + 8 + sha256.BlockSize - 1) / sha256.BlockSize * sha256.BlockSize

// The pads of RFC 2104, eight bytes of each.
const (
	innerPad = 0x3636_3636_3636_3636
	outerPad = 0x5c5c_5c5c_5c5c_5c5c
)

// pad writes a key, padded to a block.
func (s *Secret) pad(to []byte, with uint64) {
	for i := 0; i < len(s); i += 8 {
		binary.NativeEndian.PutUint64(to[i:], with^binary.NativeEndian.Uint64(s[i:]))
		binary.NativeEndian.PutUint64(to[len(s)+i:], with)
	}
}

// A code is verified by two HMACs, of two hashes each. crypto/hmac would allocate, and Sum copies the hash and what it pads, for as much again
// as the blocks take. So messages are ended here, the hash is given whole blocks, which it does not copy, and its marshalled state then
// holds the sum.

// state is the marshalled state of a SHA-256.
type state [stateHead + sha256.Size + sha256.BlockSize + 8]byte

const stateHead = len("sha\x03")

// fresh is the state of a hash that nothing went into.
var fresh = stateAfter(nil)

// stateAfter is the state when whole blocks have gone in.
func stateAfter(whole []byte) state {
	h := sha256.New()
	h.Write(whole)
	s, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("passcode: " + err.Error()) // documented not to happen
	}
	return state(s)
}

// behind is how many bytes follow the last block. The hash keeps them for a block to come, so the sum stays as it is. AppendBinary makes zeros
// to fill up what is kept, and for more than these a build with the race detector would allocate.
const behind = sha256.BlockSize / 2

// blocks ends a message of n bytes as SHA-256 does (RFC 6234, 4.1), and returns it in whole blocks and what is behind them; so many bytes went
// before it. What follows it in room must be zero.
func blocks(room []byte, n, before int) []byte {
	room[n] = 0x80
	end := (n + 1 + 8 + sha256.BlockSize - 1) &^ (sha256.BlockSize - 1)
	binary.BigEndian.PutUint64(room[end-8:], uint64(before+n)*8)
	return room[:end+behind]
}

// hmac is the HMAC-SHA256 of a message under a key, whose padded blocks may have gone into the states, or are the first of both hashes. What
// goes into the inner one is what blocks returns; in the outer one the last block before what is behind is room for the inner's sum. It allocates nothing: the
// compiler knows what New returns and keeps it on the stack.
func hmac(inner, outer *state, message, rest []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	restore(h, inner)
	h.Write(message)
	var end state
	_, _ = h.(encoding.BinaryAppender).AppendBinary(end[:0]) // documented not to fail
	last := rest[len(rest)-behind-sha256.BlockSize:]
	copySum(last, &end)
	restore(h, outer)
	last[sha256.Size] = 0x80
	binary.BigEndian.PutUint16(last[sha256.BlockSize-2:], (sha256.BlockSize+sha256.Size)*8)
	h.Write(rest)
	_, _ = h.(encoding.BinaryAppender).AppendBinary(end[:0])
	copySum(sum[:], &end)
	return sum
}

// restore gives a hash a state. Inlined, or the hash would be on the heap.
func restore(h hash.Hash, s *state) {
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s[:]) != nil {
		panic("passcode: a key that NewKey did not make")
	}
}

// copySum takes the sum from a state word by word, as it was written: a processor that has to put wider ones together waits for them.
func copySum(to []byte, s *state) {
	for i := 0; i < sha256.Size; i += 4 {
		binary.NativeEndian.PutUint32(to[i:], binary.NativeEndian.Uint32(s[stateHead+i:]))
	}
}
