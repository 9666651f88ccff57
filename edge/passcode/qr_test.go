package passcode

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"rsc.io/qr"
	"rsc.io/qr/coding"
)

// A rolling code is shown on a phone and read at arm's length: its QR stays small. It would not in byte mode, as with one character
// outside the alphabet.
func TestQRVersions(t *testing.T) {
	version := func(text string) int {
		code, err := qr.Encode(text, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		return (code.Size - 17) / 4
	}
	issuer := strings.Repeat("w", 16)
	rolling := func(n int) string {
		return Secret{}.Mint(issuer, 255, bytes.Repeat([]byte("x"), n), 1<<32-1)
	}
	if text := rolling(16); version(text) != 4 || len(text) != 71 {
		t.Errorf("a rolling code of 16 bytes has %d characters and version %d", len(text), version(text))
	}
	if text := rolling(16); version(strings.ToLower(text)) <= 4 {
		t.Error("it would be as small in byte mode: what is this test good for?")
	}
	if got := version(rolling(28)); got != 4 {
		t.Errorf("a rolling code of 28 bytes, which docs/codes.md names as the most for version 4, has version %d", got)
	}
	if got := version(rolling(29)); got != 5 {
		t.Errorf("a rolling code of 29 bytes has version %d", got)
	}
	paper := Sign(ed25519.NewKeyFromSeed(make([]byte, 32)), issuer, bytes.Repeat([]byte("x"), 16), 1, 2)
	if err := coding.Alpha(paper).Check(); err != nil {
		t.Error(err)
	}
	if got := version(paper); got != 7 {
		t.Errorf("a signed code of 16 bytes has version %d", got)
	}
}
