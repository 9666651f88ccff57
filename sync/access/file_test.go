package access

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A first start shows what it made, lets it in, and so does every start after it, also once tokens.json is gone.
func TestFirstTokens(t *testing.T) {
	dir := t.TempDir()
	s, shown := open(t, dir)
	seen := map[string]bool{}
	for kind, token := range shown.byKind() {
		if len(token) < 26 || !strings.HasPrefix(token, string(kind)+"-") || seen[token] {
			t.Errorf("token %q is short, says not what it is for, or is there twice", token)
		}
		seen[token] = true
		admits(t, s, kind, token, firstNames[kind])
	}
	for _, name := range []string{"tokens.json", "access.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	again, same := open(t, dir)
	if same != shown || len(again.List()) != 3 {
		t.Error("the second start has other tokens")
	}
	if err := os.Remove(filepath.Join(dir, "tokens.json")); err != nil {
		t.Fatal(err)
	}
	third, none := open(t, dir)
	for kind, token := range shown.byKind() {
		admits(t, third, kind, token, firstNames[kind])
	}
	if none != (Tokens{}) {
		t.Errorf("without tokens.json: %+v", none)
	}
	if _, err := os.Stat(filepath.Join(dir, "tokens.json")); err == nil {
		t.Error("tokens.json is there again")
	}
}

// A folder of before there was an access.json keeps its tokens.
func TestTokensOfAnOlderFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "tokens.json", `{"version":1,"admin_token":"a","push_token":"p","scanner_key":"s","edge_token":"e","log_token":"l"}`)
	s, _ := open(t, dir)
	for kind, token := range map[Kind]string{Admin: "a", Push: "p", Scan: "s"} {
		admits(t, s, kind, token, firstNames[kind])
	}
}

func TestFilesThatAreNotWhatTheyShouldBe(t *testing.T) {
	const hash = "0000000000000000000000000000000000000000000000000000000000000000"
	token := `{"id":"a","kind":"admin","name":"n","made":"2026-01-01T00:00:00Z","secrets":[{"hash":"` + hash + `"}]}`
	for name, c := range map[string]struct{ file, body, want string }{
		"shown: newer":     {"tokens.json", `{"version":2}`, "its version is 2, this scanedge knows 1"},
		"shown: empty":     {"tokens.json", `{"version":1,"push_token":""}`, "a token is missing or empty"},
		"shown: no JSON":   {"tokens.json", `x`, "mend it, or delete it"},
		"half-written":     {"access.json", `{"version":1,"serial":7,"tok`, "unexpected end of JSON input; bring it back from a backup"},
		"empty":            {"access.json", ``, "unexpected end of JSON input"},
		"newer":            {"access.json", `{"version":2}`, "its version is 2, this scanedge knows 1"},
		"foreign":          {"access.json", `{"issuers":[]}`, "its version is 0"},
		"a foreign list":   {"access.json", `[1]`, "cannot unmarshal array"},
		"one id twice":     {"access.json", `{"version":1,"tokens":[` + token + `,` + token + `]}`, `the id "a" of a token is empty or there twice`},
		"one secret twice": {"access.json", `{"version":1,"tokens":[` + token + `,` + strings.Replace(token, `"a"`, `"b"`, 1) + `]}`, "there twice"},
		"no secret":        {"access.json", `{"version":1,"tokens":[` + strings.Replace(token, `{"hash":"`+hash+`"}`, "", 1) + `]}`, "token a has no secret"},
		"no hash":          {"access.json", `{"version":1,"tokens":[` + strings.Replace(token, hash, "00", 1) + `]}`, "64 hex digits"},
	} {
		dir := t.TempDir()
		write(t, dir, c.file, c.body)
		_, _, err := Open(dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Join(dir, c.file)) {
			t.Errorf("%s: %v", name, err)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, c.file)); string(b) != c.body {
			t.Errorf("%s: the file was changed", name)
		}
	}
	dir := t.TempDir()
	write(t, dir, "access.json", `{"version":1,"tokens":[`+token+`]}`)
	if _, _, err := Open(dir); err != nil {
		t.Errorf("what they were made of is bad itself: %v", err)
	}
}

// What is revoked is out, whatever else the file says of it.
func TestRevokedInTheFile(t *testing.T) {
	dir := t.TempDir()
	hash, _ := HashOf([]byte("push-x")).MarshalText()
	write(t, dir, "access.json", `{"version":1,"tokens":[{"id":"a","kind":"push","name":"n","made":"2026-01-01T00:00:00Z",`+
		`"revoked":"2026-01-02T00:00:00Z","secrets":[{"hash":"`+string(hash)+`"}]}]}`)
	s, _ := open(t, dir)
	admits(t, s, Push, "push-x", "")
}

// The oldest tokens that ended are forgotten, those that live never.
func TestEndedTokensAreForgotten(t *testing.T) {
	s, _ := open(t, t.TempDir())
	for range maxEnded + 50 {
		b := s.bearer(Token{Kind: Scan, Name: "x"}, newToken(Scan))
		b.Revoked = b.Made
		s.bearers = append(s.bearers, b)
	}
	oldest, newest := s.bearers[3].ID, s.bearers[len(s.bearers)-1].ID
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	if s.find(oldest) != nil || s.find(newest) == nil || len(s.List()) != maxEnded+3 {
		t.Errorf("%d tokens are kept", len(s.List()))
	}
}

func open(t *testing.T, dir string) (*Store, Tokens) {
	t.Helper()
	s, shown, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, shown
}

func write(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

// admits checks who a token is taken for by each door; "" is nobody.
func admits(t *testing.T, s *Store, kind Kind, token, name string) {
	t.Helper()
	for _, k := range []Kind{Push, Scan, Admin} {
		b, ok := s.Check(k, []byte(token))
		if want := k == kind && name != ""; ok != want || ok && b.Name() != name {
			t.Errorf("%s as a %s token: %v, want %v as %q", token, k, ok, want, name)
		}
	}
}
