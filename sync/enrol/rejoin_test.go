package enrol

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/scanedge/scanedge"
)

// A machine that was revoked, or replaced by name, becomes an edge again by a new token; its old identity stands until the new one is whole.
func TestRejoin(t *testing.T) {
	a, other := newAuthority(t, Life), newAuthority(t, Life)
	old := a.join("gate", All)
	if _, err := a.registry.Revoke("gate"); err != nil {
		t.Fatal(err)
	}
	used := a.enrol("used", All)
	if _, err := Join(t.Context(), used, t.TempDir(), quiet); err != nil {
		t.Fatal(err)
	}
	var p *scanedge.Problem
	if _, err := old.Rejoin(t.Context(), used, quiet); !errors.As(err, &p) || p.Type != scanedge.BadJoinToken {
		t.Errorf("a token that was used: %v", err)
	}
	asked := other.asked.Load()
	if _, err := old.Rejoin(t.Context(), other.enrol("gate", All), quiet); !errors.Is(err, ErrOtherCA) || other.asked.Load() != asked {
		t.Errorf("another origin's token: %v", err)
	}
	if id, err := Load(old.dir); err != nil || id.Key() != old.Key() {
		t.Fatalf("the old identity after refusals: %v", err)
	}
	token := a.enrol("gate", All)
	id, err := old.Rejoin(t.Context(), token, quiet)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(old.dir)
	if err != nil || again.Key() != id.Key() || id.Key() == old.Key() || !again.JoinedBy(token) || id.Key() != a.registry.Keys()["gate"] {
		t.Errorf("%v: key %s, on disk %s, before %s", err, id.Key(), again.Key(), old.Key())
	}
	for _, end := range []string{nextEnd, pastEnd} {
		if _, err := os.Lstat(old.dir + end); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", end, err)
		}
	}
}

// Wherever a kill falls, the next start has the one identity or the other, and the same token ends at the new one.
func TestARejoinThatIsKilled(t *testing.T) {
	a := newAuthority(t, Life)
	for name, killed := range map[string]func(dir string) error{
		"while the new one is made": func(dir string) error { return os.Remove(dir + nextEnd + "/" + certFile) },
		"when it is whole":          func(string) error { return nil },
		"between the renames":       func(dir string) error { return os.Rename(dir, dir+pastEnd) },
		"after the renames":         func(dir string) error { return errors.Join(os.Rename(dir, dir+pastEnd), os.Rename(dir+nextEnd, dir)) },
		"and the new one is damaged": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+pastEnd), os.WriteFile(dir+nextEnd+"/"+keyFile, nil, 0o600))
		},
	} {
		old := a.join("gate", All)
		token, _, err := a.registry.Enrol("gate", []string{All}, nil, a.url(), true)
		if err != nil {
			t.Fatal(err)
		}
		next, err := Join(t.Context(), token, old.dir+nextEnd, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if err := killed(old.dir); err != nil {
			t.Fatal(err)
		}
		id, err := Load(old.dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !id.JoinedBy(token) && name != "and the new one is damaged" {
			id, err = id.Rejoin(t.Context(), token, quiet)
			if err != nil || id.Key() != next.Key() {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := a.registry.Revoke("gate"); err != nil {
			t.Fatal(err)
		}
	}
}
