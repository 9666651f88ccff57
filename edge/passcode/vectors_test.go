package passcode

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const vectorsFile = "testdata/vectors.json"

// vectors are what is published for who makes codes elsewhere: docs/codes.md names them, the JavaScript is held to them. Bytes are
// in hex digits, times in seconds since 1970.
type vectors struct {
	Comment string          `json:"comment"`
	Steps   []stepVector    `json:"steps"`
	Rolling []rollingVector `json:"rolling"`
	Signed  []signedVector  `json:"signed"`
	Judged  judgedVectors   `json:"judged"`
}

type stepVector struct {
	Unix int64  `json:"unix"`
	Step uint32 `json:"step"`
}

type rollingVector struct {
	Issuer  string `json:"issuer"`
	KeyID   byte   `json:"key_id"`
	CodeKey string `json:"code_key"`
	Subject string `json:"subject"`
	Secret  string `json:"secret"`
	Step    uint32 `json:"step"`
	Code    string `json:"code"`
}

type signedVector struct {
	Issuer    string `json:"issuer"`
	Seed      string `json:"signing_seed"` // RFC 8032's private key
	PublicKey string `json:"public_key"`
	KeyID     byte   `json:"key_id"`
	Subject   string `json:"subject"`
	From      uint32 `json:"from"`
	Until     uint32 `json:"until"`
	Code      string `json:"code"`
}

// judgedVectors are what an edge says of codes at a time: it holds one issuer.
type judgedVectors struct {
	Issuer      string      `json:"issuer"`
	CodeKeys    []keyVector `json:"code_keys"`
	PublicKey   string      `json:"public_key"`
	WindowSteps uint32      `json:"code_window_steps"`
	Plain       bool        `json:"plain"`
	Unix        int64       `json:"unix"`
	Codes       []judged    `json:"codes"`
}

type keyVector struct {
	ID  byte   `json:"id"`
	Key string `json:"key"`
}

type judged struct {
	Why    string `json:"why"`
	Code   string `json:"code"`
	Word   string `json:"word"` // "good": its subject is looked up
	AheadS int64  `json:"ahead_s,omitempty"`
}

// keyOf is a key of 32 bytes that can be told from others.
func keyOf(name string) []byte {
	sum := sha256.Sum256([]byte("scanedge test vectors: " + name))
	return sum[:]
}

var vectorSubjects = []string{"d", "d000000001", "0123456789abcdef", "粤A·12345", "a:b/c?d#e%f g", strings.Repeat("x", 61), strings.Repeat("é", 32)}

func makeVectors() vectors {
	v := vectors{Comment: "Codes of scanedge, for who makes or checks them elsewhere: edge/passcode's package doc has the forms, docs/codes.md the steps. " +
		"Bytes in hex, times in seconds since 1970, texts in UTF-8. The keys are for tests alone."}
	for _, unix := range []int64{0, 29, 30, 59, 1795703400, 1795703429, 1795703430, math.MaxUint32*30 + 29} {
		v.Steps = append(v.Steps, stepVector{unix, Step(unix)})
	}
	for i, issuer := range []string{"a", "demo-a", "0123456789-wxyz9"} {
		code, seed := keyOf("code key of "+issuer), keyOf("signing key of "+issuer)
		priv := ed25519.NewKeyFromSeed(seed)
		pub := priv.Public().(ed25519.PublicKey)
		for j, subject := range vectorSubjects {
			id, step := []byte{1, 255, 7}[(i+j)%3], []uint32{59856780, 0, math.MaxUint32}[(i+2*j)%3]
			key := NewKey(issuer, id, code)
			s := key.Secret([]byte(subject))
			v.Rolling = append(v.Rolling, rollingVector{issuer, id, hex.EncodeToString(code), subject, hex.EncodeToString(s[:]), step,
				s.Mint(issuer, id, []byte(subject), step)})
			from, until := []uint32{1795703400, 0, 1}[j%3], []uint32{1795789800, 1, math.MaxUint32}[j%3]
			v.Signed = append(v.Signed, signedVector{issuer, hex.EncodeToString(seed), hex.EncodeToString(pub), SigningKeyID(pub), subject, from, until,
				Sign(priv, issuer, []byte(subject), from, until)})
		}
	}
	v.Judged = makeJudged()
	return v
}

// makeJudged are codes to an edge that knows an issuer's keys 8 and 7, in the middle of a step.
func makeJudged() judgedVectors {
	const issuer, step, now = "demo-a", 59856780, 59856780*30 + 12
	old, young, priv := keyOf("code key of demo-a"), keyOf("next code key of demo-a"), ed25519.NewKeyFromSeed(keyOf("signing key of demo-a"))
	stranger := ed25519.NewKeyFromSeed(keyOf("a stranger's signing key"))
	v := judgedVectors{Issuer: issuer, CodeKeys: []keyVector{{8, hex.EncodeToString(young)}, {7, hex.EncodeToString(old)}},
		PublicKey: hex.EncodeToString(priv.Public().(ed25519.PublicKey)), WindowSteps: 1, Unix: now}
	subject := []byte("d000000001")
	mint := func(issuer string, id byte, key []byte, step uint32) string {
		k := NewKey(issuer, id, key)
		return k.Secret(subject).Mint(issuer, id, subject, step)
	}
	good, paper := mint(issuer, 8, young, step), Sign(priv, issuer, subject, now-100, now+100)
	other := NewKey(issuer, 8, young)
	notMine := other.Secret([]byte("d000000002")).Mint(issuer, 8, subject, step)
	add := func(word, why, code string) { v.Codes = append(v.Codes, judged{Why: why, Code: code, Word: word}) }
	ahead := func(why string, n uint32) {
		v.Codes = append(v.Codes, judged{why, mint(issuer, 8, young, step+n), "clock-ahead", int64(n)*30 - 12})
	}
	add("good", "of this step", good)
	add("good", "of the key before", mint(issuer, 7, old, step))
	add("good", "of the step before, within the window", mint(issuer, 8, young, step-1))
	add("good", "of the next step, within the window", mint(issuer, 8, young, step+1))
	add("code-expired", "of two steps before", mint(issuer, 8, young, step-2))
	add("code-expired", "of the first step of all", mint(issuer, 8, young, 0))
	ahead("of two steps later: the phone's clock is ahead", 2)
	ahead("of a day later", 2880)
	add("forged-code", "of a key id that is not known", mint(issuer, 9, young, step))
	add("forged-code", "of a key that was replaced twice", mint(issuer, 6, keyOf("an old code key of demo-a"), step))
	add("forged-code", "of another key under a known id", mint(issuer, 7, young, step))
	add("forged-code", "forged is said before expired", mint(issuer, 7, young, 0))
	add("forged-code", "by another subject's secret", notMine)
	add("forged-code", "another digit in the MAC", good[:len(good)-2]+"A"+good[len(good)-1:])
	add("issuer-not-held", "of another issuer", mint("demo-b", 8, young, step))
	add("malformed-code", "in lower case", strings.ToLower(good))
	add("malformed-code", "an issuer in lower case", strings.Replace(good, "DEMO-A", "demo-a", 1))
	add("malformed-code", "percent-encoded twice", strings.ReplaceAll(good, ".", "%2E"))
	add("malformed-code", "padded", good+"==")
	add("malformed-code", "cut", good[:len(good)-1])
	short := other.Secret([]byte("d1")).Mint(issuer, 8, []byte("d1"), step)
	last := short[len(short)-1] // carries one bit, and four that are left over
	add("good", "of a subject of another length", short)
	add("malformed-code", "the same, a bit that is left over set: another spelling", short[:len(short)-1]+string(last+1))
	add("malformed-code", "key id 0", "SE1.DEMO-A."+encoding32.EncodeToString(append(make([]byte, 5), "dMMMMMMMMMM"...)))
	add("malformed-code", "no subject", "SE1.DEMO-A."+encoding32.EncodeToString(append([]byte{8, 0, 0, 0, 0}, "MMMMMMMMMM"...)))
	add("malformed-code", "nothing behind the prefix", "SE1.")
	add("malformed-code", "another version", "SE2"+good[3:])
	add("malformed-code", "nothing", "")
	add("good", "signed", paper)
	add("good", "signed, from this second on", Sign(priv, issuer, subject, now, now+1))
	add("code-expired", "signed, until this second", Sign(priv, issuer, subject, now-100, now))
	add("not-yet-valid", "signed, from the next second on", Sign(priv, issuer, subject, now+1, now+2))
	add("forged-code", "signed by another key", Sign(stranger, issuer, subject, now-100, now+100))
	add("forged-code", "signed for another issuer by this one's key", strings.Replace(Sign(priv, "demo-b", subject, now-100, now+100), "DEMO-B", "DEMO-A", 1))
	add("malformed-code", "signed, in lower case", strings.ToLower(paper))
	add("malformed-code", "rolling under the prefix of signed", "SS1"+good[3:])
	add("plain-forbidden", "plain, where the issuer forbids it", "demo-a:d000000001")
	add("issuer-not-held", "plain, of another issuer", "demo-b:d000000001")
	add("malformed-code", "plain, no subject", "demo-a:")
	return v
}

// word is what an edge says of the code, as its judge does; "good" where it looks the subject up.
func (v *judgedVectors) word(t *testing.T, code string) (word string, ahead int64) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ring := Keyring{Signing: unhex(v.PublicKey), Window: v.WindowSteps}
	for _, k := range v.CodeKeys {
		ring.Keys = append(ring.Keys, NewKey(v.Issuer, k.ID, unhex(k.Key)))
	}
	var c Code
	switch {
	case !Parse([]byte(code), &c):
		return "malformed-code", 0
	case string(c.Issuer()) != v.Issuer:
		return "issuer-not-held", 0
	case c.Kind == Plain && !v.Plain:
		return "plain-forbidden", 0
	case c.Kind != Plain && !ring.Verify(&c):
		return "forged-code", 0
	}
	switch ring.Standing(&c, v.Unix) {
	case Expired:
		return "code-expired", 0
	case Ahead:
		return "clock-ahead", c.Ahead(v.Unix)
	case Early:
		return "not-yet-valid", 0
	}
	return "good", 0
}

// The file is what the code makes, and the words are what it says. Everything else that makes codes is held to the file.
func TestVectors(t *testing.T) {
	v := makeVectors()
	for _, c := range v.Judged.Codes {
		if word, ahead := v.Judged.word(t, c.Code); word != c.Word || ahead != c.AheadS {
			t.Errorf("%s: %s is %s, %d s ahead; want %s, %d", c.Why, c.Code, word, ahead, c.Word, c.AheadS)
		}
	}
	for _, c := range v.Rolling {
		if len(c.Issuer) <= 16 && len(c.Subject) <= 16 && len(c.Code) > 71 {
			t.Errorf("%s has %d characters", c.Code, len(c.Code))
		}
	}
	var made bytes.Buffer
	enc := json.NewEncoder(&made)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorsFile, made.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, made.Bytes()) {
		t.Errorf("%s is not what this code makes. It is published: codes that phones make today must go on being good. If it is to change, go test -run TestVectors -update", vectorsFile)
	}
}
