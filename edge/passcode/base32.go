package passcode

import "encoding/base32"

// encoding32 writes payloads. It does not read them: it would take bits that are left over as they come, and skip line ends.
var encoding32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// digits32 is the value of a base32 digit, bad32 for what is none.
var digits32 = func() (t [256]byte) {
	for i := range t {
		t[i] = bad32
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") {
		t[c] = byte(i)
	}
	return t
}()

const bad32 = 0x80

// decode32 reads base32 without padding into dst and returns the part it filled. It reports false for a text that is longer than
// dst, or is not what [encoding32] writes.
func decode32(dst, text []byte) ([]byte, bool) {
	n := len(text) * 5 / 8
	if n > len(dst) {
		return nil, false
	}
	dst = dst[:n]
	var bad byte
	out := dst
	for ; len(text) >= 8 && len(out) >= 5; text, out = text[8:], out[5:] {
		a, b, c, d := digits32[text[0]], digits32[text[1]], digits32[text[2]], digits32[text[3]]
		e, f, g, h := digits32[text[4]], digits32[text[5]], digits32[text[6]], digits32[text[7]]
		bad |= a | b | c | d | e | f | g | h
		out[0] = a<<3 | b>>2
		out[1] = b<<6 | c<<1 | d>>4
		out[2] = d<<4 | e>>1
		out[3] = e<<7 | f<<2 | g>>3
		out[4] = g<<5 | h
	}
	var rest, bits uint
	for _, t := range text { // less than eight
		d := digits32[t]
		bad |= d
		rest, bits = rest<<5|uint(d&31), bits+5
		if bits >= 8 {
			bits -= 8
			out[0], out = byte(rest>>bits), out[1:]
		}
	}
	// A whole digit that is left over carries no bit of a byte, so its maker did not write it.
	return dst, bad&bad32 == 0 && bits < 5 && rest&(1<<bits-1) == 0
}
