package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/durable"
)

// Keep writes a table for its owner's next start: unsigned, for a beat proves it later. It is the old or the new one, whole; an end of
// ctx ends the writing.
func (s *Store) Keep(ctx context.Context, t *cache.Table) error {
	err := s.keep(ctx, t)
	if err != nil {
		return fmt.Errorf("keep the table of %s in %s: %w", s.pub.ID, s.dir, err)
	}
	return nil
}

func (s *Store) keep(ctx context.Context, t *cache.Table) error {
	tmp, err := durable.Create(s.dir)
	if err != nil {
		return err
	}
	defer tmp.Discard()
	t.Describe(s.pub.ID, s.pub.Seed.ID())
	if _, err := t.WriteParts(tmp, ctx.Err); err != nil {
		return err
	}
	return tmp.Commit(s.path(ownTable))
}

// LoadOwn fills an empty table with what Keep wrote. found is false, without an error, if there is nothing. An error leaves the
// table empty.
func (s *Store) LoadOwn(t *cache.Table) (found bool, err error) {
	path := s.path(ownTable)
	err = s.loadFile(path, t, t.ReadFrom, func(cache.Snapshot) error { return nil })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("load the kept table of %s from %s: %w", s.pub.ID, path, err)
	}
	return true, nil
}

// DropOwn removes what Keep wrote, if there is anything.
func (s *Store) DropOwn() error {
	if err := os.Remove(s.path(ownTable)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop the kept table of %s: %w", s.pub.ID, err)
	}
	return nil
}
