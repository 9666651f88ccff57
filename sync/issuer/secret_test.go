package issuer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo-a.json")
	a, err := LoadOrCreate(path, "demo-a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreate(path, "demo-a")
	if err != nil || b.Seed != a.Seed || !b.Key.Equal(a.Key) {
		t.Errorf("the second start has other secrets: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := json.Marshal(a.Public())
	if err != nil {
		t.Fatal(err)
	}
	var pub Public
	if err := json.Unmarshal(text, &pub); err != nil || pub.Seed != a.Seed || !pub.Key.Equal(a.Key.Public()) {
		t.Errorf("%s: %v", text, err)
	}
}

func TestSecretRefusals(t *testing.T) {
	dir := t.TempDir()
	good := `{"version":1,"issuer":"a","seed":"000102030405060708090a0b0c0d0e0f","private_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`
	for name, c := range map[string]struct{ from, to, want string }{
		"good":       {"", "", ""},
		"newer":      {`"version":1`, `"version":2`, "version is 2"},
		"another's":  {`"issuer":"a"`, `"issuer":"b"`, `issuer "b"`},
		"short seed": {`0e0f"`, `0e"`, "32 hex digits"},
		"short key":  {`AAAA=`, `=`, ""},
		"no JSON":    {`{`, ``, "restore it from a backup"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte(strings.Replace(good, c.from, c.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreate(path, "a")
		if name == "good" {
			if err != nil {
				t.Errorf("good: %v", err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
