// Package access is who may: the origin's tokens, made, kept, rotated and revoked, and the sets of hashes that edges check scanner
// keys against.
//
//   - access.go: [Hash] and [Set]: how a token is checked
//   - token.go: [Token], what is known of one; [Bearer], one that was shown, with the limits of who brings it
//   - store.go: [Store], the tokens of an origin: who is let in, and what becomes of a token
//   - file.go: access.json, which outlives the process
//   - shown.go: tokens.json, in which the first start shows what it made
//   - control.go: [Control], what edges are told; report.go: [Report], what they tell; uses.go: scanner keys as an edge checks them
//
// A token is 130 random bits behind a word that says what it is for ("push-…"), so a leaked one is recognised and a wrong one
// explains itself. It is shown once, by who makes it; kept are SHA-256 hashes. To look up a hash of what was brought takes a time
// that says nothing of the tokens that there are.
//
// access.json rules from the first start on. Who can read it learns names, not tokens; who can change it, or reads tokens.json
// as long as that lies there, can do whatever tokens are for.
package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

func newToken(kind Kind) string { return string(kind) + "-" + rand.Text() }

// Hash is the SHA-256 of a token. In text it is 64 hex digits.
type Hash [sha256.Size]byte

// HashOf returns a token's hash.
func HashOf(token []byte) Hash { return sha256.Sum256(token) }

// MarshalText writes the hash as hex.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(h) {
		return errors.New("a token's hash is 64 hex digits")
	}
	*h = Hash(b)
	return nil
}

// Set is the tokens that open one door: hash to the name that the token goes by. It must not change once in use.
type Set map[Hash]string

// SetOf returns the set of one token.
func SetOf(name, token string) Set { return Set{HashOf([]byte(token)): name} }

// Name returns the name of a token, and whether it is in the set. Hashing first means that the time a refusal takes says
// nothing of the tokens. It allocates nothing and is safe for concurrent use.
func (s Set) Name(token []byte) (string, bool) {
	name, ok := s[HashOf(token)]
	return name, ok
}
