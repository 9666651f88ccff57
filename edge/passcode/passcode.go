// Package passcode is what a code is: the text that a QR carries and a scanner sends. It reads and makes codes, and says whether
// an issuer made one; whether an edge answers it is not decided here.
//
//   - passcode.go: [Code] and [Parse], the three forms
//   - rolling.go: [Key], [Secret]: codes that a phone makes, without asking anybody
//   - signed.go: [Sign]: codes for paper
//   - keyring.go: [Keyring], what an edge checks an issuer's codes with, and what a clock says of a good one
//   - base32.go: the spelling
//   - js/passcode.mjs: the phone's side, for a page or an app
//
// # Forms
//
// All three lie in the alphabet of alphanumeric QR (if the plain code does) and of a URL's path, so nothing is escaped.
//
//	plain    issuer:subject
//	rolling  SE1.ISSUER.PAYLOAD
//	signed   SS1.ISSUER.PAYLOAD
//
// A plain code is split at its first colon: the subject may hold further ones. ISSUER is the issuer's id in upper case, PAYLOAD is
// base32 (RFC 4648) in upper case, without padding, of one spelling only: bits that are left over are zero. No issuer's id has
// upper case or a dot, so no text has two readings. Of numbers the first byte is the highest.
//
//	           0       1               5                    5+n              15+n
//	rolling    +-------+---------------+---------------------+----------------+
//	           | key   | step          | subject             | MAC            |      n is 1 to 64
//	           | 1..255| s since 1970  |                     | 10 bytes       |
//	           |       | / 30          |                     |                |
//	           +-------+---------------+---------------------+----------------+
//
//	           0       1               5               9           9+n             73+n
//	signed     +-------+---------------+---------------+------------+---------------+
//	           | key   | from          | until         | subject    | signature     |
//	           | 0..255| s since 1970, | s since 1970, |            | 64 bytes      |
//	           |       | inclusive     | exclusive     |            |               |
//	           +-------+---------------+---------------+------------+---------------+
//
// A rolling code of a subject of 16 bytes and an issuer of 16 characters has 71 characters: a QR of version 4 at level M, which
// holds 90.
//
// # What each proves
//
// A plain code proves that its bearer knows the subject's id, no more. It is the right one where the id itself is secret, or where
// somebody looks at a passport beside it.
//
// A rolling code proves that it was made, in its step of 30 seconds, by who knew the subject's secret: a phone that its issuer
// gave that secret to, the issuer, or an edge. A captured code lives 90 s at most with a window of one step either way, counted from
// the first moment at which an edge takes it to the last. Who copies it within that time has what the holder has, and who copies the
// secret out of the phone has it until the key is changed. Its MAC is the first 80 bits of HMAC-SHA256 (RFC 2104) under the secret,
//
//	MAC = HMAC(secret, "SE1" 0 issuer 0 key step subject)
//
// and the secret is derived from the issuer's code key by HKDF-SHA256 (RFC 5869), so that nobody keeps a secret for each subject:
//
//	secret = HKDF(code key, salt "scanedge code key v1", info "SE1" 0 issuer 0 key subject), 32 bytes
//
// Here issuer is in lower case, as everywhere but in the code's text. An edge holds the code key: who reads its memory can make
// rolling codes. He can't make signed ones.
//
// A signed code proves that the issuer's origin made it, for that time; not when, not for whom: a photograph of the paper is
// as good as the paper. Its signature is the issuer's Ed25519 (RFC 8032) over
//
//	"scanedge signed code v1" 0 issuer 0 key from until subject
//
// where key is the first byte of the SHA-256 of the public key: it tells keys apart, it proves nothing.
//
// None of them says what status the subject has: that is the table's.
package passcode

import (
	"bytes"
	"encoding/binary"

	"github.com/scanedge/scanedge/cache"
)

// Kind is a code's form.
type Kind byte

// The three forms. The zero Kind is none of them.
const (
	Plain   Kind = 1 + iota // issuer:subject
	Rolling                 // SE1.ISSUER.PAYLOAD
	Signed                  // SS1.ISSUER.PAYLOAD
)

// String is the form's name.
func (k Kind) String() string {
	switch k {
	case Plain:
		return "plain"
	case Rolling:
		return "rolling"
	case Signed:
		return "signed"
	}
	return "none"
}

const (
	rollingPrefix = "SE1."
	signedPrefix  = "SS1."

	macSize       = 10
	signatureSize = 64
	rollingFrame  = 1 + 4 + macSize           // bytes of a rolling payload beside the subject
	signedFrame   = 1 + 4 + 4 + signatureSize // bytes of a signed one
	maxPayload    = signedFrame + cache.MaxSubject
)

// MaxCode is the length of the longest code of any form, in bytes.
const MaxCode = len(signedPrefix) + cache.MaxIssuer + 1 + (maxPayload*8+4)/5

// Code is a code that was read. Its parts lie in it, so it may be copied and kept, and the text may change.
type Code struct {
	Kind  Kind
	KeyID byte // of rolling and signed codes

	Step uint32 // of a rolling code, see [Step]

	From, Until uint32 // of a signed code, in seconds since 1970: good from From on and before Until

	MAC       [macSize]byte       // of a rolling code
	Signature [signatureSize]byte // of a signed code

	issuerLen, subjectLen byte
	issuer                [cache.MaxIssuer]byte
	subject               [cache.MaxSubject]byte
}

// Issuer is the issuer's id, in lower case: a part of c.
func (c *Code) Issuer() []byte { return c.issuer[:c.issuerLen] }

// Subject is the subject's id: a part of c.
func (c *Code) Subject() []byte { return c.subject[:c.subjectLen] }

// Parse reads a code into c, which it overwrites. It reports false, and leaves c of no use, for a text that is no code: of none of the
// forms, with ids that are none, or spelt otherwise than its maker would. It allocates nothing and keeps nothing of text.
func Parse(text []byte, c *Code) bool {
	if len(text) > len(rollingPrefix) && text[0] == 'S' {
		switch string(text[:len(rollingPrefix)]) {
		case rollingPrefix:
			return c.parseRolling(text[len(rollingPrefix):])
		case signedPrefix:
			return c.parseSigned(text[len(signedPrefix):])
		}
	}
	return c.parsePlain(text)
}

func (c *Code) parsePlain(text []byte) bool {
	i := bytes.IndexByte(text, ':')
	if i < 1 || i > cache.MaxIssuer || len(text)-i-1 > cache.MaxSubject || !cache.IsIssuer(text[:i]) {
		return false
	}
	c.Kind = Plain
	c.issuerLen = byte(copy(c.issuer[:], text[:i]))
	return c.takeSubject(text[i+1:])
}

func (c *Code) parseRolling(text []byte) bool {
	var buf [maxPayload]byte
	p, ok := c.cutPayload(text, &buf)
	if !ok || len(p) <= rollingFrame || p[0] == 0 {
		return false
	}
	c.Kind, c.KeyID, c.Step = Rolling, p[0], binary.BigEndian.Uint32(p[1:])
	end := len(p) - copy(c.MAC[:], p[len(p)-macSize:])
	return c.takeSubject(p[5:end])
}

func (c *Code) parseSigned(text []byte) bool {
	var buf [maxPayload]byte
	p, ok := c.cutPayload(text, &buf)
	if !ok || len(p) <= signedFrame {
		return false
	}
	c.Kind, c.KeyID, c.From, c.Until = Signed, p[0], binary.BigEndian.Uint32(p[1:]), binary.BigEndian.Uint32(p[5:])
	end := len(p) - copy(c.Signature[:], p[len(p)-signatureSize:])
	return c.takeSubject(p[9:end])
}

// cutPayload reads what follows the prefix of both forms: the issuer, into c, a dot, and the payload, into buf.
func (c *Code) cutPayload(text []byte, buf *[maxPayload]byte) (payload []byte, ok bool) {
	n := 0
	for ; n < len(text) && text[n] != '.'; n++ {
		b := text[n]
		switch {
		case n == cache.MaxIssuer:
			return nil, false
		case b >= 'A' && b <= 'Z':
			b += 'a' - 'A'
		case !(b >= '0' && b <= '9' || b == '-'):
			return nil, false
		}
		c.issuer[n] = b
	}
	if n == 0 || n == len(text) {
		return nil, false
	}
	c.issuerLen = byte(n)
	return decode32(buf[:], text[n+1:])
}

// takeSubject copies a subject's id, of any length, or reports that it is none.
func (c *Code) takeSubject(id []byte) bool {
	if !cache.IsSubject(id) {
		return false
	}
	c.subjectLen = byte(copy(c.subject[:], id))
	return true
}

// text is the code as [Parse] reads it.
func (c *Code) text() string { return string(c.appendText(make([]byte, 0, MaxCode))) }

func (c *Code) appendText(b []byte) []byte {
	if c.Kind == Plain {
		return append(append(append(b, c.Issuer()...), ':'), c.Subject()...)
	}
	payload := append(make([]byte, 0, maxPayload), c.KeyID)
	if c.Kind == Rolling {
		b = append(b, rollingPrefix...)
		payload = binary.BigEndian.AppendUint32(payload, c.Step)
		payload = append(append(payload, c.Subject()...), c.MAC[:]...)
	} else {
		b = append(b, signedPrefix...)
		payload = binary.BigEndian.AppendUint32(payload, c.From)
		payload = binary.BigEndian.AppendUint32(payload, c.Until)
		payload = append(append(payload, c.Subject()...), c.Signature[:]...)
	}
	for _, letter := range c.Issuer() {
		if letter >= 'a' && letter <= 'z' {
			letter -= 'a' - 'A'
		}
		b = append(b, letter)
	}
	return encoding32.AppendEncode(append(b, '.'), payload)
}

// named is a code of that form and of these ids, which must be good ones: what is made for others is no code.
func named(kind Kind, keyID byte, issuer string, subject []byte) Code {
	c := Code{Kind: kind, KeyID: keyID}
	c.issuerLen = byte(copy(c.issuer[:], issuer))
	c.subjectLen = byte(copy(c.subject[:], subject))
	return c
}
