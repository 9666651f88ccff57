package main

import (
	"bytes"
	"testing"

	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/issuer"
)

// A keyring takes what its origin says, and stays as long as that does.
func TestKeyrings(t *testing.T) {
	var rings keyrings
	key := bytes.Repeat([]byte{1}, 32)
	pub := issuer.Public{ID: "demo-a", CodeKeys: []issuer.CodeKey{{ID: 7, Key: key}}, CodeWindowSteps: 2}
	maker := passcode.NewKey("demo-a", 7, key)
	var c passcode.Code
	if !passcode.Parse([]byte(maker.Secret([]byte("x")).Mint("demo-a", 7, []byte("x"), 9)), &c) {
		t.Fatal("no code")
	}
	ring := rings.of(pub)
	if !ring.Verify(&c) || ring.Window != 2 {
		t.Errorf("%+v", ring)
	}
	again := pub
	again.CodeKeys = []issuer.CodeKey{{ID: 7, Key: bytes.Clone(key)}}
	if rings.of(again) != ring {
		t.Error("made anew of the same")
	}
	again.CodeKeys[0].ID = 8
	if changed := rings.of(again); changed.Verify(&c) {
		t.Error("a key that is gone verifies")
	}
	pub.ID = "demo-b"
	if rings.of(pub).Verify(&c) {
		t.Error("one issuer's key verifies another's code")
	}
}
