package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// asked is a server that keeps the Authorization it was last brought.
func asked(t *testing.T) (url string, brought *atomic.Value) {
	brought = new(atomic.Value)
	brought.Store("")
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		brought.Store(r.Header.Get("Authorization"))
		rw.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	return s.URL, brought
}

func broughtTo(got *atomic.Value) string { return strings.TrimPrefix(got.Load().(string), "Bearer ") }

// TestAFleetsTokensGoToThatFleet has every mix of where a place and a token can come from, and two servers.
func TestAFleetsTokensGoToThatFleet(t *testing.T) {
	ofFleet, fleetGot := asked(t)
	other, otherGot := asked(t)
	up := fleet.Up{Origin: ofFleet, AdminToken: "theirs", PushToken: "theirs", ScannerKey: "theirs", Edges: []fleet.Edge{{Scan: ofFleet}}}
	inFleet(t, up)
	settings := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(settings, []byte("up: none.json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	verbs := map[string][]string{
		"issuer": {"issuer", "list"}, "scan": {"scan", "a:b"}, "push": {"push", "--retry", "0", "--state", t.TempDir(), "a", "-"},
	}

	for _, c := range []struct {
		name         string
		flags, env   []string
		fleet, other string // which token each was brought
	}{
		{"the default fleet", nil, nil, "theirs", ""},
		{"a flag's file", []string{"--up", defaultUp}, nil, "theirs", ""},
		{"a flag's file, the other from the environment", []string{"--up", defaultUp}, []string{"PLACE=" + other}, "theirs", ""},
		{"the other by a flag, a file from the environment", []string{"--PLACE", other}, []string{"UP=" + defaultUp}, "", ""},
		{"both by flags", []string{"--up", defaultUp, "--PLACE", other}, nil, "", ""},
		{"both from the environment", nil, []string{"UP=" + defaultUp, "PLACE=" + other}, "", ""},
		{"the fleet's own place beside its file", []string{"--up", defaultUp, "--PLACE", ofFleet + "/"}, nil, "theirs", ""},
		{"both by flags, a token of one's own", []string{"--up", defaultUp, "--PLACE", other, "--SECRET", "mine"}, nil, "", "mine"},
		{"a flag's file over a file of settings", []string{"--up", defaultUp}, []string{"CONFIG=" + settings}, "theirs", ""},
	} {
		for verbName, args := range verbs {
			t.Run(c.name+", "+verbName, func(t *testing.T) {
				place, secret := "origin", "token"
				if verbName == "scan" {
					place, secret = "edge", "key"
				}
				fleetGot.Store("")
				otherGot.Store("")
				named := strings.NewReplacer("PLACE", place, "SECRET", secret)
				for _, e := range c.env {
					name, value, _ := strings.Cut(e, "=")
					t.Setenv("SCANEDGE_"+strings.ToUpper(named.Replace(name)), value)
				}
				for _, f := range c.flags {
					args = append(args, named.Replace(f))
				}
				_, err := verb(t.Context(), strings.NewReader("{}"), args...)
				if err == nil {
					t.Error("a refused token, and no error")
				}
				if f, o := broughtTo(fleetGot), broughtTo(otherGot); f != c.fleet || o != c.other {
					t.Errorf("the fleet was brought %q, the other %q; want %q and %q (%v)", f, o, c.fleet, c.other, err)
				}
			})
		}
	}
}
