package main

import (
	"strings"
	"testing"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

func TestOwnTarget(t *testing.T) {
	for _, here := range []string{
		"http://127.0.0.1:7000", "http://127.8.9.10:7000", "http://[::1]:7000", "https://localhost:7000/path", "http://LOCALHOST",
	} {
		if err := ownTarget([]string{here}, false); err != nil {
			t.Errorf("%s: %v", here, err)
		}
	}
	for _, elsewhere := range []string{
		"http://10.0.0.1:7000", "http://0.0.0.0:7000", "http://[::]:7000", "https://edge.example", "http://localhost.example:1", "http://127.0.0.1@edge.example:1",
		"http://127.0.0.1.edge.example", "http://", "http://[::ffff:10.0.0.1]:1", "http://2130706433:1",
	} {
		wantExit(t, ownTarget([]string{"http://127.0.0.1:1", elsewhere}, false), exitUsage, elsewhere+" is not on this machine", "--i-own-this-target")
		if err := ownTarget([]string{elsewhere}, true); err != nil {
			t.Errorf("%s, owned: %v", elsewhere, err)
		}
	}
	wantExit(t, ownTarget([]string{"http://a b"}, false), exitUsage, "is no URL")
}

// The origin counts as much as each edge: canaries are pushed there.
func TestOwnFleet(t *testing.T) {
	for name, up := range map[string]fleet.Up{
		"origin": {Origin: "http://10.0.0.1:1", Edges: []fleet.Edge{{Scan: "http://127.0.0.1:1"}}},
		"edge":   {Origin: "http://127.0.0.1:1", Edges: []fleet.Edge{{Scan: "http://127.0.0.1:1"}, {Scan: "http://10.0.0.1:1"}}},
	} {
		if err := ownFleet(&up, false); err == nil || !strings.Contains(err.Error(), "http://10.0.0.1:1 is not") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ownFleet(&fleet.Up{Origin: "http://127.0.0.1:1", Edges: []fleet.Edge{{Name: "not up yet"}}}, false); err != nil {
		t.Error(err)
	}
}

func TestEnoughFiles(t *testing.T) {
	if err := enoughOf(256+filesBeside, 256); err != nil {
		t.Error(err)
	}
	wantExit(t, enoughOf(256+filesBeside-1, 256), exitUsage, "needs 320 file descriptors", "may open 319", "ulimit -n 320")
	wantExit(t, enoughFiles(int(openFiles())), exitUsage, "ulimit -n")
}
