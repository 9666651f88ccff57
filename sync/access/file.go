package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// accessFile is access.json. No token is in it.
type accessFile struct {
	Version int      `json:"version"`
	Serial  uint64   `json:"serial"`
	Tokens  []record `json:"tokens"`
}

const accessVersion = 1

// read reads the file, and reports whether there is one.
func (s *Store) read() (had bool, err error) {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var f accessFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return false, fmt.Errorf("read who may from %s: %w; bring it back from a backup, or delete it and tokens.json to have new tokens "+
			"made for everybody", s.path, err)
	}
	s.serial = f.Serial
	for _, r := range f.Tokens {
		b := &Bearer{record: r}
		if !r.Used.IsZero() {
			b.used.Store(r.Used.Unix())
			s.uses = max(s.uses, r.Used.Unix())
		}
		s.bearers = append(s.bearers, b)
	}
	return true, nil
}

func (f *accessFile) check() error {
	if f.Version != accessVersion {
		return fmt.Errorf("its version is %d, this scanedge knows %d", f.Version, accessVersion)
	}
	ids, hashes := map[string]bool{}, map[Hash]bool{}
	for _, r := range f.Tokens {
		if r.ID == "" || ids[r.ID] {
			return fmt.Errorf("the id %q of a token is empty or there twice", r.ID)
		}
		ids[r.ID] = true
		for _, s := range r.Secrets {
			if hashes[s.Hash] {
				return fmt.Errorf("the secret of token %s is there twice", r.ID)
			}
			hashes[s.Hash] = true
		}
		if len(r.Secrets) == 0 && r.Lives(time.Now()) {
			return fmt.Errorf("token %s has no secret", r.ID)
		}
	}
	return nil
}

// write writes the file, without the oldest tokens that ended. Its caller holds mu, or is the only one yet.
func (s *Store) write() error {
	s.forget()
	f := accessFile{Version: accessVersion, Serial: s.next(), Tokens: make([]record, len(s.bearers))}
	uses := s.uses
	for i, b := range s.bearers {
		f.Tokens[i] = record{b.known(), b.Secrets}
		uses = max(uses, f.Tokens[i].Used.Unix())
	}
	if err := durable.WriteJSON(s.path, f); err != nil {
		return fmt.Errorf("write who may to %s: %w", s.path, err)
	}
	s.uses = uses
	return nil
}

// forget drops the oldest tokens that ended, where there are too many.
func (s *Store) forget() {
	now, ended := time.Now(), 0
	for i := len(s.bearers) - 1; i >= 0; i-- {
		if s.bearers[i].Lives(now) {
			continue
		}
		if ended++; ended > maxEnded {
			s.bearers = append(s.bearers[:i:i], s.bearers[i+1:]...)
		}
	}
}
