// Package passcode is what a code is: the text that a QR carries and a scanner sends.
//
// A plain code is the subject itself, "issuer:subject", split at the first colon: the subject may hold further colons. It
// proves nothing but that its bearer knows the id; it is for paper passes and tickets.
package passcode

import (
	"bytes"

	"github.com/scanedge/scanedge/cache"
)

// Parse splits a plain code into issuer and subject, both parts of code itself. It reports false for a code that no issuer
// can have given out: no colon, or ids that are none. It allocates nothing.
func Parse(code []byte) (issuer, subject []byte, ok bool) {
	i := bytes.IndexByte(code, ':')
	if i < 1 || i > cache.MaxIssuer || len(code)-i-1 > cache.MaxSubject {
		return nil, nil, false
	}
	issuer, subject = code[:i], code[i+1:]
	if cache.CheckIssuer(issuer) != nil || cache.CheckSubject(subject) != nil {
		return nil, nil, false
	}
	return issuer, subject, true
}
