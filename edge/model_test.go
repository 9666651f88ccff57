package edge

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

// slow is the judge as one would write it who has all day: of the standard library, in the order of the documents, keeping nothing.
type slow struct {
	window   int64
	plainOff bool
	offset   uint64
}

var (
	plainForm = regexp.MustCompile(`(?s)^([a-z0-9-]{1,16}):(.+)$`)
	otherForm = regexp.MustCompile(`^(SE1|SS1)\.([A-Z0-9-]{1,16})\.([A-Z2-7]+)$`)
)

func isSubject(s string) bool {
	return s != "" && len(s) <= 64 && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// word is what a code comes down to at a time in seconds since 1970, for a scanner or a holder who wants that offset at the least.
func (m slow) word(text string, unix int64, scanner bool, least uint64) string {
	other := otherForm.FindStringSubmatch(text)
	if other == nil {
		plain := plainForm.FindStringSubmatch(text)
		switch {
		case !scanner:
			return "no-key"
		case plain == nil || !isSubject(plain[2]):
			return "malformed-code"
		case plain[1] == "demo-b":
			return "not-ready"
		case plain[1] != "demo-a":
			return "issuer-not-held"
		case m.plainOff:
			return "plain-forbidden"
		}
		return m.lookup(plain[2], least)
	}
	spelling := base32.StdEncoding.WithPadding(base32.NoPadding)
	p, err := spelling.DecodeString(other[3])
	isSigned := other[1] == "SS1"
	frame, head := 15, 5
	if isSigned {
		frame, head = 73, 9
	}
	wellFormed := err == nil && spelling.EncodeToString(p) == other[3] && len(p) > frame && isSubject(string(p[head:head+len(p)-frame])) && (isSigned || p[0] > 0)
	switch {
	case !scanner && (!wellFormed || isSigned):
		return "no-key"
	case !wellFormed:
		return "malformed-code"
	case other[2] == "DEMO-B":
		return "not-ready"
	case other[2] != "DEMO-A":
		return "issuer-not-held"
	}
	subject, proof := string(p[head:head+len(p)-frame]), p[head+len(p)-frame:]
	if isSigned {
		pub := mint.sign.Public().(ed25519.PublicKey)
		id := sha256.Sum256(pub)
		message := "scanedge signed code v1\x00demo-a\x00" + string(p[:9]) + subject
		from, until := int64(binary.BigEndian.Uint32(p[1:])), int64(binary.BigEndian.Uint32(p[5:]))
		switch {
		case p[0] != id[0] || !ed25519.Verify(pub, []byte(message), proof):
			return "forged-code"
		case unix >= until:
			return "code-expired"
		case unix < from:
			return "not-yet-valid"
		}
		return m.lookup(subject, least)
	}
	if p[0] > 2 {
		return "forged-code"
	}
	secret, _ := hkdf.Key(sha256.New, bytes.Repeat(p[:1], 32), []byte("scanedge code key v1"), "SE1\x00demo-a\x00"+string(p[:1])+subject, 32)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("SE1\x00demo-a\x00" + string(p[:5]) + subject))
	step := int64(binary.BigEndian.Uint32(p[1:]))
	switch {
	case !bytes.Equal(mac.Sum(nil)[:10], proof):
		return "forged-code"
	case step < unix/30-m.window:
		return "code-expired"
	case step > unix/30+m.window:
		return "clock-ahead"
	}
	return m.lookup(subject, least)
}

func (m slow) lookup(subject string, least uint64) string {
	switch {
	case least > m.offset:
		return "behind"
	case subject == "g":
		return "green"
	case subject == "r":
		return "red"
	}
	return "unknown-subject"
}

// FuzzJudge holds the judge to the slow one: codes that are any text, and good ones with a bit of them turned.
func FuzzJudge(f *testing.F) {
	for _, text := range []string{
		"demo-a:g", "demo-a:r", "demo-a:x", "demo-b:g", "demo-c:g", "demo-a:", ":g", "demo-a:g:", "Demo-a:g", "SE1.", "SS1.DEMO-A.", "SE1:g", "se1.demo-a.aa", "",
		"demo-a:\x00", "demo-a:\xff", "demo-a%3Ag", "SE1.DEMO-A.A4BZCV4MMQYDAMBQGAYDAMBRVCD4NWM2GOF6TCVZ", strings.Repeat("x", 4096), "demo-a:" + strings.Repeat("x", 65),
	} {
		f.Add(byte(0), text, byte(0), int64(0), uint16(0), true, uint64(0))
		f.Add(byte(0), text, byte(0), int64(0), uint16(0), false, uint64(18))
	}
	for kind := byte(1); kind <= 2; kind++ {
		for _, off := range []int64{0, 29, 30, 59, 60, -1, -30, -31, -3600, 1 << 31} {
			f.Add(kind, "g", byte(2), off, uint16(0), true, uint64(17))
			f.Add(kind, "r", byte(1), off, uint16(0), false, uint64(18))
			f.Add(kind, "nobody", byte(3), off, uint16(77), true, uint64(0))
		}
	}
	at := noon
	s := checking(f, 1, &at)
	vouch := *s.holdings()["demo-a"].vouch.Load()
	f.Fuzz(func(t *testing.T, kind byte, text string, id byte, off int64, flip uint16, scans bool, least uint64) {
		m := slow{window: int64(kind / 8 % 4), plainOff: kind&32 != 0, offset: 17}
		v := vouch
		v.Codes, v.PlainOff = keyring(uint32(m.window)), m.plainOff
		s.Publish("demo-a", v)
		if subject := text; isSubject(subject) && kind%4 != 0 {
			switch key := passcode.NewKey("demo-a", max(id, 1), bytes.Repeat([]byte{id}, 32)); kind % 4 {
			case 1:
				text = rolling(&key, subject, uint32(noon.Unix()/30))
			default:
				text = signed(subject, noon.Unix(), noon.Unix()+30)
			}
			if flip > 0 {
				b := []byte(text)
				b[int(flip/8)%len(b)] ^= 1 << (flip % 8)
				text = string(b)
			}
		}
		at = noon.Add(time.Duration(off%(1<<31)) * time.Second)
		by := asker{scanner: scans}
		if least > 0 {
			by.least = []byte("demo-z=99, demo-a=" + jsonNumber(least))
		}
		want := m.word(text, at.Unix(), scans, least)
		for range 2 { // the second time by the memo
			if got := s.judgeText(text, by); got != want {
				t.Fatalf("%q at noon%+d s by %+v of %+v: %s, want %s", text, off, by, m, got, want)
			}
		}
	})
}

func jsonNumber(n uint64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// The published vectors say what an edge makes of codes.
func TestPublishedVectors(t *testing.T) {
	b, err := os.ReadFile("passcode/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Judged struct {
			Issuer   string `json:"issuer"`
			CodeKeys []struct {
				ID  byte   `json:"id"`
				Key string `json:"key"`
			} `json:"code_keys"`
			PublicKey string `json:"public_key"`
			Window    uint32 `json:"code_window_steps"`
			Plain     bool   `json:"plain"`
			Unix      int64  `json:"unix"`
			Codes     []struct {
				Why, Code, Word string
				AheadS          int64 `json:"ahead_s"`
			}
		} `json:"judged"`
	}
	if err := json.Unmarshal(b, &file); err != nil || len(file.Judged.Codes) == 0 {
		t.Fatalf("%d codes: %v", len(file.Judged.Codes), err)
	}
	j := file.Judged
	s := New(metrics.NewSet())
	s.Hold([]string{j.Issuer})
	s.now = func(time.Time) time.Time { return time.Unix(j.Unix, 0) }
	ring := &passcode.Keyring{Window: j.Window}
	ring.Signing, _ = hex.DecodeString(j.PublicKey)
	for _, k := range j.CodeKeys {
		key, _ := hex.DecodeString(k.Key)
		ring.Keys = append(ring.Keys, passcode.NewKey(j.Issuer, k.ID, key))
	}
	s.Publish(j.Issuer, Vouch{Table: new(cache.Table), Beat: time.Unix(j.Unix, 0), PlainOff: !j.Plain, Codes: ring})
	for _, c := range j.Codes {
		want := c.Word
		if want == "good" {
			want = "unknown-subject"
		}
		v := s.judge([]byte(c.Code), scanner)
		if v.outcome.String() != want || v.outcome == clockAhead && v.code.Ahead(j.Unix) != c.AheadS {
			t.Errorf("%s: %s is %v, want %s", c.Why, c.Code, v.outcome, want)
		}
	}
}
