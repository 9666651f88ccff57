package enrol

import (
	"strings"
	"testing"
)

func TestTokensAreReadBack(t *testing.T) {
	for _, url := range []string{"https://127.0.0.1:7020", "https://origin.example:7020", "https://[2001:db8::1]:1"} {
		want := newToken(url, Fingerprint{1, 2, 3})
		if got, err := ParseToken(" " + want.String() + "\n"); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if a, b := newToken("https://a", Fingerprint{}), newToken("https://a", Fingerprint{}); a.Secret == b.Secret || a.hash() == b.hash() {
		t.Error("two tokens are one")
	}
}

// Whatever is cut off, added or mistyped, it is told before anything is asked of anybody.
func TestTokensThatAreNone(t *testing.T) {
	good := newToken("https://origin.example:7020", Fingerprint{9}).String()
	bad := map[string]string{
		"": "does not begin", "push-abc": "does not begin", "join-": "cut short", "join-!": "cut short", good + "A": "cut short",
		newToken("http://plain", Fingerprint{}).String(): "no https", newToken("", Fingerprint{}).String(): "no https",
		"join-Ag" + good[len("join-Ag"):]: "version is 2",
	}
	for i := range good {
		bad[good[:i]] = ""
		if other := good[:i] + flip(good[i]) + good[i+1:]; other != good {
			bad[other] = ""
		}
	}
	for text, why := range bad {
		if got, err := ParseToken(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q is %+v, %v; want %q", text, got, err, why)
		}
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func FuzzParseToken(f *testing.F) {
	f.Add(newToken("https://h:1", Fingerprint{}).String())
	f.Add("join-")
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := ParseToken(text); err == nil {
			if again, err := ParseToken(token.String()); err != nil || again != token {
				t.Errorf("%q: %+v, %v", text, again, err)
			}
		}
	})
}
