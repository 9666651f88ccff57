package main

import (
	"reflect"
	"sync"

	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/issuer"
)

// keyrings are what the codes of each issuer are checked with. They are made when the origin says something new, not with each push
// that is published. The zero value is ready, and safe for concurrent use.
type keyrings struct {
	mu    sync.Mutex
	known map[string]*keyring
}

type keyring struct {
	pub  issuer.Public // that it was made of
	ring *passcode.Keyring
}

// of returns the keyring of an issuer, the same one as long as nothing is new.
func (k *keyrings) of(pub issuer.Public) *passcode.Keyring {
	k.mu.Lock()
	defer k.mu.Unlock()
	if was := k.known[pub.ID]; was != nil && reflect.DeepEqual(was.pub, pub) {
		return was.ring
	}
	ring := &passcode.Keyring{Signing: pub.Key, Window: pub.CodeWindowSteps}
	for _, key := range pub.CodeKeys {
		ring.Keys = append(ring.Keys, passcode.NewKey(pub.ID, key.ID, key.Key))
	}
	if k.known == nil {
		k.known = map[string]*keyring{}
	}
	k.known[pub.ID] = &keyring{pub, ring}
	return ring
}
