package issuer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSecretIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo-a.json")
	a, err := LoadOrCreate(path, "demo-a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreate(path, "demo-a", 2*time.Hour)
	if err != nil || b.Policy() != a.Policy() || b.Policy().MaxStaleSeconds != 3600 || b.Seed != a.Seed || !b.Key.Equal(a.Key) {
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
	if err := json.Unmarshal(text, &pub); err != nil || pub.Seed != a.Seed || !pub.Key.Equal(a.Key.Public()) || !pub.Plain {
		t.Errorf("%s: %v", text, err)
	}
}

// What is settled later holds for the next start too, and what can't be written does not hold at all.
func TestPolicyIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.json")
	s, err := LoadOrCreate(path, "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := Policy{MaxStaleSeconds: 7, CodeWindowSteps: 20, SnapshotEverySeconds: 9, MaxChange: MaxChange{Bad: 0.5, All: 1, Floor: 3}}
	if err := s.Settle(want, Rekey{New: true}); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if again, err := Load(path, "a"); err != nil || again.Policy() != want || again.Seed != s.Seed || !again.Key.Equal(s.Key) ||
			!reflect.DeepEqual(again.CodeKeys(), s.CodeKeys()) || len(again.CodeKeys()) != 2 {
			t.Errorf("after a start: %+v, %v", again, err)
		}
	}
	check()
	if pub := s.Public(); pub.MaxStaleSeconds != 7 || pub.Plain || pub.CodeWindowSteps != 20 || !reflect.DeepEqual(pub.CodeKeys, s.CodeKeys()) {
		t.Errorf("edges are told %+v", pub)
	}
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(DefaultPolicy(), Rekey{New: true}); err == nil || s.Policy() != want {
		t.Errorf("a policy that was not written: %v, %+v", err, s.Policy())
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestSecretRefusals(t *testing.T) {
	dir := t.TempDir()
	one := `{"version":1,"issuer":"a","seed":"000102030405060708090a0b0c0d0e0f","private_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","max_stale_s":7}`
	two := `{"version":2,"issuer":"a","seed":"000102030405060708090a0b0c0d0e0f","private_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",` +
		`"policy":{"max_stale_s":7,"plain":true,"snapshot_every_s":0,"max_change":{"bad":0.05,"all":0.2,"floor":1000}}}`
	for name, c := range map[string]struct{ from, to, want string }{
		"good":       {"", "", ""},
		"newer":      {`"version":`, `"version":1`, "this scanedge knows 2"},
		"older":      {`"version":`, `"version":-`, "this scanedge knows 2"},
		"another's":  {`"issuer":"a"`, `"issuer":"b"`, `issuer "b"`},
		"short seed": {`0e0f"`, `0e"`, "32 hex digits"},
		"no seed":    {`"seed"`, `"sead"`, "it has no seed"},
		"short key":  {`AAAA=`, `=`, "restore it from a backup"},
		"no key":     {`"private_key"`, `"key"`, "private_key has 0 bytes"},
		"no JSON":    {`{`, ``, "restore it from a backup"},
		"cut":        {`"max_stale_s":7`, `"max_stale_s`, "restore it from a backup"},
		"bad keys":   {`"issuer":"a"`, `"issuer":"a","code_keys":[{"id":1,"key":"AAAA"}]`, "code key 1 has 3 bytes"},
		"no policy":  {`"max_stale_s":7`, `"max_stale_s":-7`, "max_stale_s is -7"},
	} {
		for version, good := range []string{one, two} {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			body := strings.Replace(good, c.from, c.to, 1)
			if name == "cut" {
				body = body[:strings.Index(body, c.to)+len(c.to)]
			}
			if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := LoadOrCreate(path, "a", time.Hour)
			if name == "good" {
				if p := DefaultPolicy(); err != nil || s.Policy().MaxStaleSeconds != 7 || !s.Policy().Plain || s.Policy().MaxChange != p.MaxChange ||
					s.Policy().CodeWindowSteps != 1 || len(s.CodeKeys()) != 0 {
					t.Errorf("good, version %d: %v", version+1, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, version %d: %v", name, version+1, err)
			}
		}
	}
}

func TestWhatNoPolicyCanBe(t *testing.T) {
	for want, spoil := range map[string]func(*Policy){
		"":                  func(*Policy) {},
		"max_stale_s":       func(p *Policy) { p.MaxStaleSeconds = maxPeriod + 1 },
		"snapshot_every_s":  func(p *Policy) { p.SnapshotEverySeconds = -1 },
		"shares":            func(p *Policy) { p.MaxChange.Bad = 1.01 },
		"0 to 1":            func(p *Policy) { p.MaxChange.All = -0.1 },
		"0 to 20":           func(p *Policy) { p.CodeWindowSteps = 21 },
		"code_window_steps": func(p *Policy) { p.CodeWindowSteps = -1 },
		"floor":             func(p *Policy) { p.MaxChange.Floor = -1 },
	} {
		p := DefaultPolicy()
		spoil(&p)
		if err := p.Check(); (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
