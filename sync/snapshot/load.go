package snapshot

import (
	"fmt"
	"io"
	"os"

	"github.com/scanedge/scanedge/cache"
)

// Load fills an empty table from a snapshot, which is checked whole before any of it can be looked up. An error leaves the table
// empty.
func (s *Store) Load(f File, t *cache.Table) error { return s.load(f, t, t.ReadFrom) }

// Replace fills a table that is in use, shard by shard in place. After an error the table must not be believed, see
// [cache.Table.Replace]; if the file was not that of the manifest, nothing was changed.
func (s *Store) Replace(f File, t *cache.Table) error { return s.load(f, t, t.Replace) }

func (s *Store) load(f File, t *cache.Table, read func(io.Reader) (int64, error)) error {
	err := s.loadFile(f.Table, t, read, func(says cache.Snapshot) error {
		if says.Began != f.Began || says.To != f.To {
			return fmt.Errorf("it was begun at %s and is exact at %d, its manifest says %s and %d", says.Began, says.To, f.Began, f.To)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load a snapshot of %s from %s: %w", s.pub.ID, f.Table, err)
	}
	return nil
}

// loadFile reads a table's file, if accept has nothing against what it says of itself.
func (s *Store) loadFile(path string, t *cache.Table, read func(io.Reader) (int64, error), accept func(cache.Snapshot) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	says, err := inspect(file)
	if err != nil {
		return err
	}
	if err := accept(says); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	t.Describe(s.pub.ID, s.pub.Seed.ID()) // so it takes none of another issuer or seed
	_, err = read(file)
	return err
}

// Check reads the table's file again and compares each part with what the issuer signed.
func (s *Store) Check(f File) error {
	in, err := os.Open(f.Table)
	if err != nil {
		return fmt.Errorf("check a snapshot of %s: %w", s.pub.ID, err)
	}
	defer in.Close()
	p := newParts(f)
	if err := p.read(in); err == nil && p.whole() {
		return nil
	}
	return fmt.Errorf("check a snapshot of %s: %s is not what was signed from byte %d on", s.pub.ID, f.Table, p.checked)
}
