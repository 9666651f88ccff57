package enrol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// state is the file's form. One that is in use does not change: another takes its place.
type state struct {
	Version int                  `json:"version"`
	Edges   map[string]Edge      `json:"edges"`
	Tokens  map[string]pending   `json:"tokens"`       // by the hash of the secret
	Refused map[string]time.Time `json:"refused_keys"` // keys that were revoked, until their certificates have ended
}

// pending is a token that was handed out. It is kept for a while after its end, to tell why it is refused.
type pending struct {
	Edge  string    `json:"edge"`
	Until time.Time `json:"until"`
	Key   string    `json:"key,omitempty"` // that has used it
}

const (
	registryVersion = 1
	tokenKept       = 24 * time.Hour
)

// OpenRegistry reads the edges from a file, or begins with none.
func OpenRegistry(path string, ca *CA) (*Registry, error) {
	s := &state{Version: registryVersion}
	b, err := os.ReadFile(path)
	if err == nil {
		s, err = parseState(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the edges from %s: %w; restore it from a backup, or remove it: every edge must then be enrolled again",
			path, err)
	}
	r := &Registry{ca: ca, path: path}
	r.now.Store(s)
	return r, nil
}

func parseState(b []byte) (*state, error) {
	s := new(state)
	in := json.NewDecoder(bytes.NewReader(b))
	if err := in.Decode(s); err != nil {
		return nil, fmt.Errorf("it is cut short or no such file: %w", err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, errors.New("something follows its end")
	}
	if s.Version != registryVersion {
		return nil, fmt.Errorf("its version is %d, this scanedge knows %d", s.Version, registryVersion)
	}
	for name, e := range s.Edges {
		if err := CheckName(name); err != nil || e.Name != name || len(e.Issuers) == 0 {
			return nil, fmt.Errorf("its edge %q has no such name, or no issuers", name)
		}
	}
	return s, nil
}

// change makes a change to a copy, writes that, and puts it in the place of what was.
func (r *Registry) change(do func(*state) error) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	next := r.now.Load().clone()
	if err := do(next); err != nil {
		return err
	}
	next.forget(time.Now())
	if err := durable.WriteJSON(r.path, next); err != nil {
		return fmt.Errorf("write the edges to %s: %w", r.path, err)
	}
	r.now.Store(next)
	return nil
}

func (s *state) clone() *state {
	c := &state{registryVersion, maps.Clone(s.Edges), maps.Clone(s.Tokens), maps.Clone(s.Refused)}
	if c.Edges == nil {
		c.Edges = map[string]Edge{}
	}
	if c.Tokens == nil {
		c.Tokens = map[string]pending{}
	}
	if c.Refused == nil {
		c.Refused = map[string]time.Time{}
	}
	return c
}

// forget drops what has no meaning any more.
func (s *state) forget(now time.Time) {
	maps.DeleteFunc(s.Tokens, func(_ string, p pending) bool { return now.After(p.Until.Add(tokenKept)) })
	maps.DeleteFunc(s.Refused, func(_ string, ends time.Time) bool { return now.After(ends) })
}

// waiting reports whether a token for that name can still be used.
func (s *state) waiting(name string, now time.Time) bool {
	for _, p := range s.Tokens {
		if p.Edge == name && p.Key == "" && now.Before(p.Until) {
			return true
		}
	}
	return false
}

// refuse revokes a name: its key, and its tokens.
func (s *state) refuse(name string, now time.Time) {
	e, known := s.Edges[name]
	if !known {
		return
	}
	if e.Key != "" {
		s.Refused[e.Key] = e.CertEnds
	}
	maps.DeleteFunc(s.Tokens, func(_ string, p pending) bool { return p.Edge == name })
	if e.Revoked.IsZero() {
		e.Revoked = now
		s.Edges[name] = e
	}
}

// taken reports whether a key may not become that of an edge: another has it, or it was revoked.
func (s *state) taken(name, hash string) bool {
	if _, refused := s.Refused[hash]; refused {
		return true
	}
	for other, e := range s.Edges {
		if other != name && e.Key == hash && e.Revoked.IsZero() {
			return true
		}
	}
	return false
}
