package passcode

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for code, want := range map[string]string{
		"demo-a:d000000001":                 "demo-a|d000000001",
		"a:b:c":                             "a|b:c",
		"a::":                               "a|:",
		"a: ":                               "a| ",
		"0123456789abcdef:x":                "0123456789abcdef|x",
		"a:" + strings.Repeat("x", 64):      "a|" + strings.Repeat("x", 64),
		"gz:粤A·12345":                       "gz|粤A·12345",
		"a:../..//x?y#z":                    "a|../..//x?y#z",
		"":                                  "",
		":":                                 "",
		"abc":                               "",
		"a:":                                "",
		":b":                                "",
		"A:b":                               "",
		"a b:c":                             "",
		"0123456789abcdefg:x":               "",
		"a:" + strings.Repeat("x", 65):      "",
		"a:x\n":                             "",
		"a:\x00":                            "",
		"a:\xff":                            "",
		"a:\u0080":                          "",
		strings.Repeat("x", 1<<16) + ":abc": "",
	} {
		issuer, subject, ok := Parse([]byte(code))
		if got := string(issuer) + "|" + string(subject); ok != (want != "") || ok && got != want {
			t.Errorf("%.80q: %q, %v; want %q", code, got, ok, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("demo-a:d1"))
	f.Add([]byte("a:b:c"))
	f.Fuzz(func(t *testing.T, code []byte) {
		issuer, subject, ok := Parse(code)
		if ok && !bytes.Equal(append(append(bytes.Clone(issuer), ':'), subject...), code) {
			t.Errorf("%q was split into %q and %q", code, issuer, subject)
		}
		if ok && bytes.IndexByte(issuer, ':') >= 0 {
			t.Errorf("%q was not split at its first colon", code)
		}
	})
}

func TestParseAllocatesNothing(t *testing.T) {
	code, ok := []byte("demo-a:d000000001"), false
	if n := testing.AllocsPerRun(100, func() { _, _, ok = Parse(code) }); n != 0 || !ok {
		t.Errorf("%v allocations", n)
	}
}
