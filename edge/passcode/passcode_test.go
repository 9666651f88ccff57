package passcode

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	stdhmac "crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/cache"
)

var (
	codeKey    = bytes.Repeat([]byte{0xc0, 0x01}, 16)
	signingKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	signingPub = signingKey.Public().(ed25519.PublicKey)
)

func TestParsePlain(t *testing.T) {
	for code, want := range map[string]string{
		"demo-a:d000000001":                 "demo-a|d000000001",
		"a:b:c":                             "a|b:c",
		"a::":                               "a|:",
		"a: ":                               "a| ",
		"0123456789abcdef:x":                "0123456789abcdef|x",
		"a:" + strings.Repeat("x", 64):      "a|" + strings.Repeat("x", 64),
		"gz:粤A·12345":                       "gz|粤A·12345",
		"a:../..//x?y#z":                    "a|../..//x?y#z",
		"s:SE1.A.B":                         "s|SE1.A.B",
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
		"SE1:b":                             "",
		"SE1.A:b":                           "",
		strings.Repeat("x", 1<<16) + ":abc": "",
	} {
		var c Code
		ok := Parse([]byte(code), &c)
		if got := string(c.Issuer()) + "|" + string(c.Subject()); ok != (want != "") || ok && (got != want || c.Kind != Plain || c.text() != code) {
			t.Errorf("%.80q: %q, %v; want %q", code, got, ok, want)
		}
	}
}

// oracle makes a rolling code with the standard library alone, by the package doc.
func oracle(t *testing.T, issuer string, id byte, key, subject []byte, step uint32) (secret []byte, code string) {
	t.Helper()
	head := append([]byte("SE1\x00"+issuer), 0, id)
	secret, err := hkdf.Key(sha256.New, key, []byte("scanedge code key v1"), string(head)+string(subject), 32)
	if err != nil {
		t.Fatal(err)
	}
	mac := stdhmac.New(sha256.New, secret)
	mac.Write(head)
	mac.Write(binary.BigEndian.AppendUint32(nil, step))
	mac.Write(subject)
	payload := append(binary.BigEndian.AppendUint32([]byte{id}, step), subject...)
	payload = append(payload, mac.Sum(nil)[:10]...)
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(payload)
	return secret, "SE1." + strings.ToUpper(issuer) + "." + text
}

func TestRollingAgainstTheStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 64 * 16 {
		issuer := strings.Repeat("z-9a", 4)[:1+n%16]
		subject := make([]byte, 1+n/16)
		for i := range subject {
			subject[i] = byte(' ' + rng.IntN('~'-' '))
		}
		id, step := byte(1+rng.IntN(255)), rng.Uint32()
		key := NewKey(issuer, id, codeKey)
		wantSecret, want := oracle(t, issuer, id, codeKey, subject, step)
		secret := key.Secret(subject)
		if !bytes.Equal(secret[:], wantSecret) {
			t.Fatalf("issuer %q, key %d, subject %q: the secret is %x, want %x", issuer, id, subject, secret[:], wantSecret)
		}
		code := secret.Mint(issuer, id, subject, step)
		if code != want {
			t.Fatalf("issuer %q, key %d, subject %q, step %d: %s, want %s", issuer, id, subject, step, code, want)
		}
		var c Code
		if !Parse([]byte(code), &c) || c.Kind != Rolling || string(c.Issuer()) != issuer || !bytes.Equal(c.Subject(), subject) ||
			c.KeyID != id || c.Step != step || !key.Verify(&c) {
			t.Fatalf("%s: read as %+v, or not verified", code, c)
		}
	}
}

func TestSignedAgainstTheStandardLibrary(t *testing.T) {
	sum := sha256.Sum256(signingPub)
	for n := 1; n <= cache.MaxSubject; n++ {
		issuer, subject := strings.Repeat("demo", 4)[:1+n%16], strings.Repeat("p", n)
		text := Sign(signingKey, issuer, []byte(subject), 1000, 1<<32-1)
		var c Code
		if !Parse([]byte(text), &c) || c.Kind != Signed || string(c.Issuer()) != issuer || string(c.Subject()) != subject ||
			c.KeyID != sum[0] || c.From != 1000 || c.Until != 1<<32-1 || !c.VerifySignature(signingPub) {
			t.Fatalf("%s: read as %+v, or not verified", text, c)
		}
		message := "scanedge signed code v1\x00" + issuer + "\x00" + string(sum[:1]) + "\x00\x00\x03\xe8\xff\xff\xff\xff" + subject
		if !ed25519.Verify(signingPub, []byte(message), c.Signature[:]) {
			t.Fatalf("%s: the signature is not over the message of the package doc", text)
		}
	}
}

func TestMaxCode(t *testing.T) {
	text := Sign(signingKey, strings.Repeat("i", cache.MaxIssuer), bytes.Repeat([]byte("s"), cache.MaxSubject), 0, 1)
	if len(text) != MaxCode {
		t.Errorf("the longest signed code has %d bytes, MaxCode is %d", len(text), MaxCode)
	}
}

// samples are a rolling and a signed code, of subjects of each length modulo 5: so of each spelling of a payload's end.
func samples() (codes []string, ring Keyring) {
	ring = Keyring{Keys: []Key{NewKey("demo-a", 3, codeKey)}, Signing: signingPub, Window: 1}
	for n := range 5 {
		subject := []byte("d0000000"[:3+n])
		codes = append(codes, ring.Keys[0].Secret(subject).Mint("demo-a", 3, subject, 59421234), Sign(signingKey, "demo-a", subject, 1, 2))
	}
	return codes, ring
}

// No text of one byte more, less or other than a good code's is a good code.
func TestEveryMutationIsRefused(t *testing.T) {
	codes, ring := samples()
	for _, code := range codes {
		var c Code
		if !Parse([]byte(code), &c) || !ring.Verify(&c) {
			t.Fatalf("%s is not good itself", code)
		}
		try := func(text string) {
			var c Code
			if text != code && Parse([]byte(text), &c) && ring.Verify(&c) {
				t.Errorf("%s passes for %s", text, code)
			}
		}
		signed := strings.HasPrefix(code, signedPrefix)
		for i := range len(code) + 1 {
			try(code[:i])
			for b := range 256 {
				if signed && b%16 != 0 && b != 'Q' { // signatures take their time
					continue
				}
				try(code[:i] + string([]byte{byte(b)}) + code[i:])
				if i < len(code) {
					try(code[:i] + string([]byte{byte(b)}) + code[i+1:])
				}
			}
			if i < len(code) {
				try(code[:i] + code[i+1:])
			}
		}
	}
}

// Every single bit of what was decoded is under the MAC or the signature, and so is the form.
func TestEveryBitIsVerified(t *testing.T) {
	codes, ring := samples()
	for _, code := range codes {
		var good Code
		Parse([]byte(code), &good)
		flip := func(what string, change func(c *Code)) {
			c := good
			change(&c)
			if ring.Verify(&c) {
				t.Errorf("%s: verified with another %s", code, what)
			}
		}
		for i := range 64 {
			if i < 32 && good.Kind == Rolling {
				flip("step", func(c *Code) { c.Step ^= 1 << i })
			} else if i < 32 {
				flip("from", func(c *Code) { c.From ^= 1 << i })
				flip("until", func(c *Code) { c.Until ^= 1 << i })
			}
			if i < 8 {
				flip("key id", func(c *Code) { c.KeyID ^= 1 << i })
				flip("MAC", func(c *Code) { c.MAC[0] ^= 1 << i; c.Signature[0] ^= 1 << i })
				flip("MAC", func(c *Code) { c.MAC[macSize-1] ^= 1 << i; c.Signature[signatureSize-1] ^= 1 << i })
				flip("issuer", func(c *Code) { c.issuer[c.issuerLen-1] ^= 1 << i })
				flip("subject", func(c *Code) { c.subject[c.subjectLen-1] ^= 1 << i })
			}
		}
		flip("form", func(c *Code) { c.Kind = Rolling + Signed - c.Kind })
		flip("form", func(c *Code) { c.Kind = Plain })
		flip("length", func(c *Code) { c.subjectLen++ })
		flip("length", func(c *Code) { c.issuerLen-- })
	}
}

func TestMalformed(t *testing.T) {
	key := NewKey("demo-a", 3, codeKey)
	good := key.Secret([]byte("d1")).Mint("demo-a", 3, []byte("d1"), 7)
	paper := Sign(signingKey, "demo-a", []byte("d1"), 1, 2)
	payload := func(b []byte) string { return "SE1.DEMO-A." + encoding32.EncodeToString(b) }
	for name, text := range map[string]string{
		"lower case":                strings.ToLower(good),
		"issuer in lower case":      strings.Replace(good, "DEMO-A", "demo-a", 1),
		"payload in lower case":     good[:11] + strings.ToLower(good[11:]),
		"signed, lower case":        strings.ToLower(paper),
		"prefix alone":              "SE1.",
		"no payload":                "SE1.DEMO-A.",
		"no second dot":             "SE1.DEMO-A",
		"no issuer":                 "SE1.." + good[11:],
		"issuer too long":           "SE1.ABCDEFGHIJKLMNOPQ." + good[11:],
		"issuer with a space":       "SE1.DEMO A." + good[11:],
		"a third dot":               good + ".",
		"padding":                   good + "=",
		"a line end":                good + "\n",
		"a space before":            " " + good,
		"a plain code behind":       good + ":x",
		"percent":                   strings.Replace(good, ".", "%2E", 1),
		"key id 0":                  payload(append([]byte{0, 0, 0, 0, 7}, "d1MMMMMMMMMM"...)),
		"no subject":                payload(append([]byte{1, 0, 0, 0, 7}, "MMMMMMMMMM"...)),
		"subject of 65 bytes":       payload(append([]byte{1, 0, 0, 0, 7}, strings.Repeat("s", 65+macSize)...)),
		"a control character":       payload(append([]byte{1, 0, 0, 0, 7}, "d\x01MMMMMMMMMM"...)),
		"a subject not of UTF-8":    payload(append([]byte{1, 0, 0, 0, 7}, "d\xffMMMMMMMMMM"...)),
		"signed, payload too short": "SS1.DEMO-A." + encoding32.EncodeToString(make([]byte, signedFrame)),
		"signed, payload too long":  "SS1.DEMO-A." + encoding32.EncodeToString([]byte(strings.Repeat("s", maxPayload+1))),
		"another version":           "SE2" + good[3:],
		"rolling under signed":      "SS1" + good[3:],
		"4 KB":                      good + strings.Repeat("A", 4096),
	} {
		var c Code
		if Parse([]byte(text), &c) {
			t.Errorf("%s: %.120q was read as %+v", name, text, c)
		}
	}
}

// A payload has one spelling. Every text of up to two digits and many of all lengths are held to the standard library: what it
// reads and writes again as it was is what is read here.
func TestOneSpelling(t *testing.T) {
	check := func(text []byte) {
		t.Helper()
		var buf [maxPayload]byte
		got, ok := decode32(buf[:], text)
		want, err := encoding32.DecodeString(string(text))
		wantOK := err == nil && encoding32.EncodeToString(want) == string(text)
		if ok != wantOK || ok && !bytes.Equal(got, want) {
			t.Fatalf("%q: %x, %v; want %x, %v", text, got, ok, want, wantOK)
		}
	}
	for a := range 1 << 16 {
		check([]byte{byte(a >> 8), byte(a)})
		check([]byte("AAAAAA" + string([]byte{byte(a >> 8), byte(a)})))
		check(append([]byte("ABCDEFGH"), byte(a>>8), byte(a)))
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 120 {
		text := make([]byte, n)
		for i := range text {
			text[i] = digits[rng.IntN(32)]
		}
		check(text)
		for d := range 256 { // the last digit decides of the bits that are left over
			if n > 0 {
				text[n-1] = byte(d)
				check(text)
			}
		}
	}
}

func TestDecode32Bounds(t *testing.T) {
	if _, ok := decode32(make([]byte, 4), []byte("AAAAAAAA")); ok {
		t.Error("5 bytes were read into 4")
	}
}

func TestKeyring(t *testing.T) {
	other := bytes.Repeat([]byte{9}, 32)
	ring := &Keyring{Keys: []Key{NewKey("demo-a", 2, other), NewKey("demo-a", 1, codeKey)}, Signing: signingPub}
	mint := func(issuer string, id byte, secret []byte) *Code {
		key := NewKey(issuer, id, secret)
		var c Code
		if !Parse([]byte(key.Secret([]byte("d1")).Mint(issuer, id, []byte("d1"), 9)), &c) {
			t.Fatal("not read")
		}
		return &c
	}
	var plain, paper, foreign Code
	Parse([]byte("demo-a:d1"), &plain)
	Parse([]byte(Sign(signingKey, "demo-a", []byte("d1"), 1, 2)), &paper)
	Parse([]byte(Sign(ed25519.NewKeyFromSeed(other), "demo-a", []byte("d1"), 1, 2)), &foreign)
	for name, tc := range map[string]struct {
		ring *Keyring
		code *Code
		want bool
	}{
		"the newest key":          {ring, mint("demo-a", 2, other), true},
		"the one before":          {ring, mint("demo-a", 1, codeKey), true},
		"one not known":           {ring, mint("demo-a", 3, codeKey), false},
		"the other's id":          {ring, mint("demo-a", 2, codeKey), false},
		"another issuer":          {ring, mint("demo-b", 1, codeKey), false},
		"plain":                   {ring, &plain, false},
		"signed":                  {ring, &paper, true},
		"signed by somebody else": {ring, &foreign, false},
		"no key at all":           {&Keyring{}, mint("demo-a", 1, codeKey), false},
		"no signing key":          {&Keyring{}, &paper, false},
		"nobody's key":            {&Keyring{}, mint("demo-a", 1, make([]byte, 32)), false},
	} {
		if got := tc.ring.Verify(tc.code); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Who has a secret can put any id and issuer beside a MAC that fits them: only those of the key are taken.
func TestASecretIsOfOneKey(t *testing.T) {
	key := NewKey("demo-a", 3, codeKey)
	subject := []byte("d1")
	secret := key.Secret(subject)
	for _, tc := range []struct {
		issuer string
		id     byte
		kind   Kind
		want   bool
	}{{"demo-a", 3, Rolling, true}, {"demo-a", 4, Rolling, false}, {"demo-b", 3, Rolling, false}, {"demo-a", 3, Plain, false}} {
		var c Code
		if !Parse([]byte(secret.Mint(tc.issuer, tc.id, subject, 9)), &c) {
			t.Fatal("not read")
		}
		c.Kind = tc.kind
		if got := key.Verify(&c); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
		ring := Keyring{Keys: []Key{key}}
		if got := ring.Verify(&c); got != tc.want {
			t.Errorf("keyring, %+v: %v", tc, got)
		}
	}
	odd := named(Signed, SigningKeyID(signingPub)+1, "demo-a", subject)
	odd.Signature = [64]byte(ed25519.Sign(signingKey, odd.signed(nil)))
	if odd.VerifySignature(signingPub) {
		t.Error("a signed code with the id of another key is taken")
	}
	odd.KeyID = SigningKeyID(nil)
	if odd.VerifySignature(nil) {
		t.Error("a signed code is taken without a key")
	}
}

// The window's edges, second by second: a code is taken for 30 s and the window's on either side, so 90 s with a window of 1.
func TestStanding(t *testing.T) {
	const step = 1000
	c := Code{Kind: Rolling, Step: step}
	for window := range uint32(4) {
		ring, taken := Keyring{Window: window}, 0
		for unix := int64(step-10) * 30; unix < (step+10)*30; unix++ {
			want := Current
			if unix >= int64(step+window+1)*30 {
				want = Expired
			} else if unix < int64(step-window)*30 {
				want = Ahead
			} else {
				taken++
			}
			if got := ring.Standing(&c, unix); got != want {
				t.Fatalf("window %d, %d s after the step's beginning: %v, want %v", window, unix-step*30, got, want)
			}
			if got := c.Ahead(unix); got != step*30-unix {
				t.Fatalf("%d s ahead at %d", got, unix)
			}
		}
		if taken != int(30+60*window) {
			t.Errorf("window %d: taken for %d s", window, taken)
		}
	}
	far := Code{Kind: Rolling, Step: 1<<32 - 1}
	ring := Keyring{Window: 20}
	if got := ring.Standing(&far, 0); got != Ahead {
		t.Errorf("the last step of all: %v", got)
	}
	if got := ring.Standing(&Code{Kind: Rolling}, 1<<32); got != Expired {
		t.Errorf("the first step of all: %v", got)
	}
	paper := Code{Kind: Signed, From: 100, Until: 200}
	for unix, want := range map[int64]Standing{-1: Early, 99: Early, 100: Current, 199: Current, 200: Expired, 1 << 40: Expired} {
		if got := ring.Standing(&paper, unix); got != want {
			t.Errorf("signed, at %d: %v, want %v", unix, got, want)
		}
	}
	if got := ring.Standing(&Code{Kind: Plain}, 1<<40); got != Current {
		t.Errorf("plain: %v", got)
	}
}

func TestStep(t *testing.T) {
	for unix, want := range map[int64]uint32{-31: 0, -1: 0, 0: 0, 29: 0, 30: 1, 1782637020: 59421234, 1782637049: 59421234} {
		if got := Step(unix); got != want {
			t.Errorf("Step(%d) is %d, want %d", unix, got, want)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	codes, ring := samples()
	for _, code := range append(codes, "demo-a:d000000001", "SE1.DEMO-A.AAAA", "nothing") {
		text := []byte(code)
		if n := testing.AllocsPerRun(100, func() {
			var c Code
			if Parse(text, &c) {
				ring.Verify(&c)
				ring.Standing(&c, 1)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", code, n)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	key := NewKey("demo-a", 3, codeKey)
	for _, shown := range []string{key.String(), key.GoString(), key.Secret([]byte("x")).String(), key.Secret([]byte("x")).GoString()} {
		if !strings.Contains(shown, "secret") || len(shown) > 20 {
			t.Errorf("shown as %q", shown)
		}
	}
}

// Whatever is read is what its maker writes: a code has one spelling.
func FuzzParse(f *testing.F) {
	codes, ring := samples()
	for _, code := range append(codes, "demo-a:d1", "a:b:c", "SE1.A.B", "SS1..", "") {
		f.Add([]byte(code))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c Code
		if !Parse(text, &c) {
			return
		}
		if got := c.text(); got != string(text) {
			t.Errorf("%q is written again as %q", text, got)
		}
		if len(text) > MaxCode || cache.CheckIssuer(c.Issuer()) != nil || cache.CheckSubject(c.Subject()) != nil {
			t.Errorf("%q was read: issuer %q, subject %q", text, c.Issuer(), c.Subject())
		}
		if ring.Verify(&c) && c.Kind == Rolling { // only the key makes one
			if want := ring.Keys[0].Secret(c.Subject()).Mint("demo-a", 3, c.Subject(), c.Step); want != string(text) {
				t.Errorf("%q passes for %q", text, want)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	codes, _ := samples()
	for name, text := range map[string]string{"plain": "demo-a:d000000001", "rolling": codes[0], "signed": codes[1]} {
		b.Run(name, func(b *testing.B) {
			var c Code
			in := []byte(text)
			for b.Loop() {
				Parse(in, &c)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	codes, ring := samples()
	for _, code := range codes[:2] {
		var c Code
		Parse([]byte(code), &c)
		b.Run(c.Kind.String(), func(b *testing.B) {
			for b.Loop() {
				ring.Verify(&c)
			}
		})
	}
}
