package issuer

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/durable"
)

// Secret is an issuer as its origin keeps it: who reads it can sign statuses and try out subject ids. It is safe for concurrent use.
type Secret struct {
	ID   string
	Seed cache.Seed
	Key  ed25519.PrivateKey

	path  string                   // of its file; empty: it has none
	given Given                    // where seed and key come from, if not from that file
	terms atomic.Pointer[settings] // nil: the default; replaced whole, by one caller at a time
}

// settings are what may change of an issuer.
type settings struct {
	policy   Policy
	codeKeys []CodeKey
}

// Public is what an edge is told of an issuer. The seed is in it: it goes over the edge's own channel to the origin alone.
type Public struct {
	ID   string            `json:"issuer"`
	Seed cache.Seed        `json:"seed"`
	Key  ed25519.PublicKey `json:"public_key"`

	MaxStaleSeconds int64 `json:"max_stale_s"` // see Policy
	Plain           bool  `json:"plain"`       // see Policy

	// What an edge checks rolling codes with, the newest key first, none from an origin of an earlier build; and see Policy.
	CodeKeys        []CodeKey `json:"code_keys"`
	CodeWindowSteps uint32    `json:"code_window_steps"`
}

// Public returns what edges are told.
func (s *Secret) Public() Public {
	t := s.now()
	p := t.policy
	return Public{s.ID, s.Seed, s.Key.Public().(ed25519.PublicKey), p.MaxStaleSeconds, p.Plain, t.codeKeys, uint32(p.CodeWindowSteps)}
}

// UnmarshalJSON reads what an origin tells. One of an earlier build does not tell the window.
func (p *Public) UnmarshalJSON(b []byte) error {
	type public Public
	told := public{CodeWindowSteps: defaultCodeWindow}
	err := json.Unmarshal(b, &told)
	*p = Public(told)
	return err
}

// now is what is settled.
func (s *Secret) now() settings {
	if t := s.terms.Load(); t != nil {
		return *t
	}
	return settings{policy: DefaultPolicy()}
}

// Policy is what holds now.
func (s *Secret) Policy() Policy { return s.now().policy }

// CodeKeys are the code keys that there are, the newest first; whoever gets them does not change them. Only the issuer of a file of an
// earlier build has none.
func (s *Secret) CodeKeys() []CodeKey { return s.now().codeKeys }

// Given says where seed and key come from.
func (s *Secret) Given() Given { return s.given }

// Settle makes p, which passes its Check, the issuer's policy, and does to its code keys what rekey says. It is in the file when it
// returns; after an error nothing has changed. One caller at a time.
func (s *Secret) Settle(p Policy, rekey Rekey) error {
	return s.settle(settings{p, rekey.apply(s.now().codeKeys)})
}

func (s *Secret) settle(t settings) error {
	if err := s.write(t); err != nil {
		return err
	}
	s.terms.Store(&t)
	return nil
}

// secretFile is the file's form. The Ed25519 key is kept as its 32-byte seed (RFC 8032).
type secretFile struct {
	Version int         `json:"version"`
	Issuer  string      `json:"issuer"`
	Seed    *cache.Seed `json:"seed,omitempty"`
	Key     []byte      `json:"private_key,omitempty"`
	Given               // in the place of either

	// Beside what was given: what it has to be. Files of earlier builds don't say.
	SeedID    string            `json:"seed_id,omitempty"`
	PublicKey ed25519.PublicKey `json:"public_key,omitempty"`

	Policy   Policy    `json:"policy"`
	CodeKeys []CodeKey `json:"code_keys"`

	MaxStaleSeconds *int64 `json:"max_stale_s,omitempty"` // of version 1, which had no policy; absent: DefaultMaxStale
}

const secretVersion = 2 // version 1 is read

// LoadOrCreate reads the issuer's secret from path, or makes one with that max_stale, in whole seconds, and all else by default.
func LoadOrCreate(path, id string, maxStale time.Duration) (*Secret, error) {
	s, err := Load(path, id)
	if errors.Is(err, fs.ErrNotExist) {
		p := DefaultPolicy()
		p.MaxStaleSeconds = int64(maxStale / time.Second)
		return Create(path, id, p, Given{})
	}
	return s, err
}

// Create makes an issuer: what is not given is drawn. The file at path is there, mode 0600, when it returns without an error.
func Create(path, id string, p Policy, given Given) (*Secret, error) {
	s := &Secret{ID: id, Seed: cache.NewSeed(), path: path, given: given}
	var err error
	if _, s.Key, err = ed25519.GenerateKey(nil); err != nil {
		return nil, err
	}
	if err := given.read(&s.Seed, &s.Key); err != nil {
		return nil, fmt.Errorf("make issuer %s: %w", id, err)
	}
	return s, s.settle(settings{p, Rekey{New: true}.apply(nil)})
}

// Load reads the issuer's secret from path. Its error is an fs.ErrNotExist when there is none.
func Load(path, id string) (*Secret, error) {
	s, err := load(path, id)
	if err != nil && !errors.Is(err, errGiven) {
		err = fmt.Errorf("%w; restore it from a backup, for edges hold its seed", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret of issuer %s from %s: %w", id, path, err)
	}
	return s, nil
}

func load(path, id string) (*Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := secretFile{Policy: DefaultPolicy()}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	switch {
	case f.Version < 1 || f.Version > secretVersion:
		return nil, fmt.Errorf("its version is %d, this scanedge knows %d", f.Version, secretVersion)
	case f.Issuer != id:
		return nil, fmt.Errorf("it is that of issuer %q", f.Issuer)
	case f.SeedFile == "" && f.Seed == nil:
		return nil, errors.New("it has no seed")
	case f.KeyFile == "" && len(f.Key) != ed25519.SeedSize:
		return nil, fmt.Errorf("its private_key has %d bytes, not %d", len(f.Key), ed25519.SeedSize)
	}
	if f.MaxStaleSeconds != nil {
		f.Policy.MaxStaleSeconds = *f.MaxStaleSeconds
	}
	if err := errors.Join(f.Policy.Check(), checkCodeKeys(f.CodeKeys)); err != nil {
		return nil, err
	}
	s := &Secret{ID: id, path: path, given: f.Given}
	if f.Seed != nil {
		s.Seed = *f.Seed
	}
	if len(f.Key) == ed25519.SeedSize {
		s.Key = ed25519.NewKeyFromSeed(f.Key)
	}
	s.terms.Store(&settings{f.Policy, f.CodeKeys})
	if err := f.Given.read(&s.Seed, &s.Key); err != nil {
		return s, err
	}
	return s, f.checkGiven(s)
}

// checkGiven holds what was read from files that were given to what the issuer was made with.
func (f *secretFile) checkGiven(s *Secret) error {
	if id := s.Seed.ID().String(); f.SeedID != "" && id != f.SeedID {
		return fmt.Errorf("the seed in %s is not the one that the issuer was made with: its id is %s, not %s; %w", f.SeedFile, id, f.SeedID, errGiven)
	}
	if len(f.PublicKey) > 0 && !f.PublicKey.Equal(s.Key.Public()) {
		return fmt.Errorf("the signing key in %s is not the one that the issuer was made with; %w", f.KeyFile, errGiven)
	}
	return nil
}

func (s *Secret) write(t settings) error {
	f := secretFile{Version: secretVersion, Issuer: s.ID, Given: s.given, Policy: t.policy, CodeKeys: t.codeKeys}
	if s.given.SeedFile == "" {
		f.Seed = &s.Seed
	} else {
		f.SeedID = s.Seed.ID().String()
	}
	if s.given.KeyFile == "" {
		f.Key = s.Key.Seed()
	} else {
		f.PublicKey = s.Key.Public().(ed25519.PublicKey)
	}
	if err := durable.WriteJSON(s.path, f); err != nil {
		return fmt.Errorf("write the secret of issuer %s: %w", s.ID, err)
	}
	return nil
}
