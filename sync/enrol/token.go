package enrol

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"strings"
)

// Token is what a new machine needs to join: where the origin is, the fingerprint of its CA, and a secret of 130 random bits. In
// text it is "join-" and the base64url of
//
//	version 1 (1 byte) | fingerprint (32) | secret (26, base32 text) | URL | CRC-32 of all before (4, big endian)
//
// so that one that was cut or mistyped explains itself.
type Token struct {
	URL    string // of the origin's TLS listener: https://HOST:PORT
	CA     Fingerprint
	Secret string
}

const (
	tokenWord    = "join-"
	tokenVersion = 1
	secretLen    = 26
	tokenHead    = 1 + sha256.Size + secretLen
)

func newToken(url string, ca Fingerprint) Token { return Token{url, ca, rand.Text()[:secretLen]} }

// String is the token as it is handed over. Who has it can become that edge.
func (t Token) String() string {
	b := append([]byte{tokenVersion}, t.CA[:]...)
	b = append(append(b, t.Secret...), t.URL...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return tokenWord + base64.RawURLEncoding.EncodeToString(b)
}

// hash is what the registry keeps of the secret, as hex.
func (t Token) hash() string {
	sum := sha256.Sum256([]byte(t.Secret))
	return hex.EncodeToString(sum[:])
}

// ParseToken reads what String wrote.
func ParseToken(text string) (t Token, err error) {
	const hint = "copy all of what scanedge edge enrol printed"
	encoded, found := strings.CutPrefix(strings.TrimSpace(text), tokenWord)
	if !found {
		return t, fmt.Errorf("it does not begin with %q; %s", tokenWord, hint)
	}
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(b) < tokenHead+4 {
		return t, errors.New("it is cut short or mistyped; " + hint)
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if body[0] != tokenVersion {
		return t, fmt.Errorf("its version is %d, this scanedge knows %d; run the origin's release here", body[0], tokenVersion)
	}
	if crc32.ChecksumIEEE(body) != sum {
		return t, errors.New("it is cut short or mistyped; " + hint)
	}
	t = Token{string(body[tokenHead:]), Fingerprint(body[1 : 1+sha256.Size]), string(body[1+sha256.Size : tokenHead])}
	if u, err := url.Parse(t.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		return t, fmt.Errorf("it says that the origin is at %q, which is no https:// URL; enrol the edge again", t.URL)
	}
	return t, nil
}
