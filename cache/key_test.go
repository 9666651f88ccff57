package cache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

func TestCheckSubject(t *testing.T) {
	for id, good := range map[string]bool{
		"":                      false,
		"d000000001":            true,
		strings.Repeat("x", 64): true,
		strings.Repeat("x", 65): false,
		"a b/c//..:d?%41#":      true,
		"粤A·12345":              true,
		"tab\t":                 false,
		"del\x7f":               false,
		"c1\u0085":              false,
		"cut\xe7\xb2":           false,
		"\xff":                  false,
		"\uFFFD":                true,
	} {
		if err := CheckSubject([]byte(id)); (err == nil) != good || IsSubject([]byte(id)) != good {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// Eight bytes at once are judged as one by one, whichever of them is odd and whatever stands before it.
func TestEachByteOfASubject(t *testing.T) {
	for n := 1; n <= 17; n++ {
		for i := range n {
			for c := range 0x80 {
				for _, around := range []byte{' ', '~'} {
					id := bytes.Repeat([]byte{around}, n)
					id[i] = byte(c)
					if want := c >= 0x20 && c != 0x7f; IsSubject(id) != want {
						t.Fatalf("%q: %v", id, !want)
					}
				}
			}
		}
	}
	bad := []byte("12345678\x1f")
	if n := testing.AllocsPerRun(100, func() { IsSubject(bad); IsIssuer(bad) }); n > 0 {
		t.Errorf("%v allocations for what is no id", n)
	}
}

func FuzzCheckSubject(f *testing.F) {
	f.Add([]byte("d1"))
	f.Add([]byte("粤\x80"))
	f.Fuzz(func(t *testing.T, id []byte) {
		want := len(id) >= 1 && len(id) <= 64 && utf8.Valid(id) && !strings.ContainsFunc(string(id), unicode.IsControl)
		if got := CheckSubject(id) == nil; got != want || IsSubject(id) != want {
			t.Errorf("%q: %v and %v, want %v", id, got, IsSubject(id), want)
		}
	})
}

func TestCheckIssuer(t *testing.T) {
	for id, good := range map[string]bool{
		"": false, "a": true, "demo-a": true, "0123456789abcdef": true, "0123456789abcdefg": false, "A": false, "a_b": false, "a:b": false,
	} {
		if err := CheckIssuer([]byte(id)); (err == nil) != good || IsIssuer([]byte(id)) != good {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// The test vectors of the SipHash authors for 128 bits of output (vectors_sip128 in veorq/SipHash): key 00 01 … 0f, input 00 01 ….
func TestKeyIsSipHash128(t *testing.T) {
	var seed Seed
	if err := seed.UnmarshalText([]byte("000102030405060708090a0b0c0d0e0f")); err != nil {
		t.Fatal(err)
	}
	for input, want := range map[string]string{
		"":             "a3817f04ba25a8e66df67214c7550293",
		"\x00":         "da87c1d86b99af44347659119b22fc45",
		"\x00\x01":     "8177228da4a45dc7fca38bdef60affe4",
		"\x00\x01\x02": "9c70b60c5267a94e5f33b6b02985ed51",
	} {
		var b [KeySize]byte
		seed.Key([]byte(input)).Put(b[:])
		if got := fmt.Sprintf("%x", b); got != want {
			t.Errorf("%q: %s, want %s", input, got, want)
		}
		if KeyFrom(b[:]) != seed.Key([]byte(input)) {
			t.Errorf("%q: the key does not survive its wire form", input)
		}
	}
}

func TestSeedsDifferAndHide(t *testing.T) {
	a, b := NewSeed(), NewSeed()
	if a == b || a.Key([]byte("x")) == b.Key([]byte("x")) {
		t.Error("two seeds give one key")
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back Seed
	if err := json.Unmarshal(text, &back); err != nil || back != a {
		t.Errorf("%s came back as another seed: %v", text, err)
	}
	if s := fmt.Sprintf("%v %s", a, a); strings.Contains(s, strings.Trim(string(text), `"`)) {
		t.Errorf("printing a seed shows it: %s", s)
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 33), strings.Repeat("g", 32)} {
		if back.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is taken as a seed", bad)
		}
	}
}

// What a key costs by SipHash, and by the alternative that was weighed: two xxhash64 under a seed each, which is no PRF.
func BenchmarkKey(b *testing.B) {
	id := []byte("d000000001234567")
	b.Run("siphash", func(b *testing.B) {
		seed, sum := NewSeed(), uint64(0)
		for b.Loop() {
			sum += seed.Key(id).Lo
		}
		_ = sum
	})
	b.Run("two-xxhash", func(b *testing.B) {
		var high, low xxhash.Digest
		sum := uint64(0)
		for b.Loop() {
			high.ResetWithSeed(1)
			_, _ = high.Write(id)
			low.ResetWithSeed(2)
			_, _ = low.Write(id)
			sum += high.Sum64() ^ low.Sum64()
		}
		_ = sum
	})
}
