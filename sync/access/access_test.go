package access

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTokensAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	a, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := LoadOrCreate(path); err != nil || a != b {
		t.Errorf("the second start has other tokens: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	seen := map[string]bool{}
	for _, token := range []string{a.Admin, a.Push, a.Scanner, a.Edge, a.Log} {
		if len(token) < 26 || seen[token] {
			t.Errorf("token %q is short or there twice", token)
		}
		seen[token] = true
	}
	for name, body := range map[string]string{"newer": `{"version":2}`, "empty": `{"version":1,"push_token":""}`, "no JSON": `x`} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreate(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSet(t *testing.T) {
	s := Set{HashOf([]byte("secret")): "gate"}
	if name, ok := s.Name([]byte("secret")); !ok || name != "gate" {
		t.Errorf("%q, %v", name, ok)
	}
	for _, wrong := range []string{"", "Secret", "secret ", "secre"} {
		if _, ok := s.Name([]byte(wrong)); ok {
			t.Errorf("%q opens the door", wrong)
		}
	}
	text, err := json.Marshal(s)
	if err != nil || strings.Contains(string(text), "secret") {
		t.Fatalf("%s, %v", text, err)
	}
	var back Set
	if err := json.Unmarshal(text, &back); err != nil || len(back) != 1 {
		t.Fatal(err)
	}
	if _, ok := back.Name([]byte("secret")); !ok {
		t.Error("the set does not survive its JSON")
	}
	token := []byte("secret")
	if n := testing.AllocsPerRun(100, func() { s.Name(token) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
