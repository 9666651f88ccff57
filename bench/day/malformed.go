package day

import "strings"

// malformed are codes that no edge may take for one. They name no issuer of the fleet, except where the code would be right
// but for one thing: there ISSUER stands for it.
var malformed = []string{
	"d000000001",                             // no colon
	"ISSUER",                                 // likewise
	"ISSUER:",                                // no subject
	":d000000001",                            // no issuer
	"Demo-A:d000000001",                      // upper case
	"demo_a:d000000001",                      // a character that no issuer has
	"seventeen-letters:d000000001",           // 17 where 16 are allowed
	"ISSUER:" + strings.Repeat("d", 65),      // 65 bytes where 64 are allowed
	"ISSUER:" + strings.Repeat("\u00e9", 33), // 33 letters, but 66 bytes
	"ISSUER:d\x00",                           // control characters
	"ISSUER:\td000000001",
	"ISSUER:d\x7f",
	"ISSUER:d\u0085",
	"ISSUER:d\xff",         // not UTF-8
	"ISSUER:d\xed\xa0\x80", // a surrogate
	"ISSUER:d\xc0\xaf",     // a slash, overlong
	"ISSUER%3Ad000000001",  // percent-encoded once more than it is decoded, so without a colon
}

// badEscapes are malformed as they stand in a path only: a line of an upload is not decoded.
var badEscapes = []string{"ISSUER:d%zz", "ISSUER:d%4", "ISSUER:d%", "%:d000000001"}

// badPaths returns the malformed codes of an issuer as they stand in a path.
func badPaths(issuer string) []string {
	paths := []string{escape("ISSUER:d\n")} // an upload can't hold this one
	for _, code := range malformed {
		paths = append(paths, escape(code))
	}
	return of(issuer, append(paths, badEscapes...))
}

// badLines returns the malformed codes of an issuer as lines of an upload.
func badLines(issuer string) []string { return of(issuer, malformed) }

func of(issuer string, codes []string) []string {
	out := make([]string, len(codes))
	for i, code := range codes {
		out[i] = strings.Replace(code, "ISSUER", issuer, 1)
	}
	return out
}

// escape percent-encodes what may not stand in a path as it is.
func escape(code string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(code) {
		if c := code[i]; c <= ' ' || c >= 0x7f || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
