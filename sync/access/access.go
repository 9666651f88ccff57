// Package access is who may: the tokens that the origin makes, and the sets of their hashes that servers check against.
//
// A token is 130 random bits behind a word that says what it is for ("push-…"), so a leaked one is recognised and a wrong one
// explains itself. Servers hold SHA-256 hashes; the plain text is in tokens.json (mode 0600) in the origin's folder alone.
// Who can read that file can push and scan; who can change it can do so after the next start.
package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/scanedge/scanedge/sync/durable"
)

// Tokens are an origin's tokens in plain text.
type Tokens struct {
	Version int    `json:"version"`
	Admin   string `json:"admin_token"` // operators, on the admin listener
	Push    string `json:"push_token"`  // authorities that push
	Scanner string `json:"scanner_key"` // gates; edges check it
	Edge    string `json:"edge_token"`  // edges on other machines, for the bootstrap call
	Log     string `json:"log_token"`   // edges, for the log; handed out by the bootstrap call
}

const tokensVersion = 1

// LoadOrCreate reads the tokens from path, or makes them and writes them there, mode 0600, durably.
func LoadOrCreate(path string) (Tokens, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t := Tokens{tokensVersion, newToken("admin"), newToken("push"), newToken("scan"), newToken("edge"), newToken("log")}
		if err := durable.WriteJSON(path, t); err != nil {
			return Tokens{}, fmt.Errorf("write the tokens: %w", err)
		}
		return t, nil
	}
	var t Tokens
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err == nil && t.Version != tokensVersion {
		err = fmt.Errorf("its version is %d, this scanedge knows %d", t.Version, tokensVersion)
	}
	if err == nil && (t.Admin == "" || t.Push == "" || t.Scanner == "" || t.Edge == "" || t.Log == "") {
		err = errors.New("a token is missing or empty")
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("read the tokens from %s: %w; mend it, or delete it to have new ones made", path, err)
	}
	return t, nil
}

func newToken(word string) string { return word + "-" + rand.Text() }

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
