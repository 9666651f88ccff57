package issuer

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/durable"
)

// Secret is an issuer as its origin keeps it: who reads it can sign statuses and try out subject ids.
type Secret struct {
	ID   string
	Seed cache.Seed
	Key  ed25519.PrivateKey
}

// Public is what an edge is told of an issuer. The seed is in it: it goes over the edge's own channel to the origin alone.
type Public struct {
	ID   string            `json:"issuer"`
	Seed cache.Seed        `json:"seed"`
	Key  ed25519.PublicKey `json:"public_key"`
}

// Public returns what edges are told.
func (s *Secret) Public() Public {
	return Public{ID: s.ID, Seed: s.Seed, Key: s.Key.Public().(ed25519.PublicKey)}
}

// secretFile is the file's form. The Ed25519 key is kept as its 32-byte seed (RFC 8032).
type secretFile struct {
	Version int        `json:"version"`
	Issuer  string     `json:"issuer"`
	Seed    cache.Seed `json:"seed"`
	Key     []byte     `json:"private_key"`
}

const secretVersion = 1

// LoadOrCreate reads the issuer's secret from path, or draws one and writes it there, mode 0600, durably.
func LoadOrCreate(path, id string) (*Secret, error) {
	s, err := load(path, id)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret of issuer %s from %s: %w; restore it from a backup, for edges hold its seed", id, path, err)
	}
	return s, nil
}

func load(path, id string) (*Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f secretFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	switch {
	case f.Version != secretVersion:
		return nil, fmt.Errorf("its version is %d, this scanedge knows %d", f.Version, secretVersion)
	case f.Issuer != id:
		return nil, fmt.Errorf("it is that of issuer %q", f.Issuer)
	case len(f.Key) != ed25519.SeedSize:
		return nil, fmt.Errorf("its private_key has %d bytes, not %d", len(f.Key), ed25519.SeedSize)
	}
	return &Secret{ID: id, Seed: f.Seed, Key: ed25519.NewKeyFromSeed(f.Key)}, nil
}

func create(path, id string) (*Secret, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	s := &Secret{ID: id, Seed: cache.NewSeed(), Key: key}
	f := secretFile{Version: secretVersion, Issuer: id, Seed: s.Seed, Key: key.Seed()}
	if err := durable.WriteJSON(path, f); err != nil {
		return nil, fmt.Errorf("write the secret of issuer %s: %w", id, err)
	}
	return s, nil
}
