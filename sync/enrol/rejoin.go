package enrol

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/scanedge/scanedge/sync/durable"
)

// The folders beside an identity's while another takes its place: the other one, whole before anything is moved, and the one that was.
const (
	nextEnd = ".next"
	pastEnd = ".past"
)

// ErrOtherCA is the error of a token that is of another origin than the identity that is to be replaced.
var ErrOtherCA = errors.New("the token is of another origin than this edge's identity")

// JoinedBy reports whether this is what a token made of this machine. One of a build that did not note the token says no.
func (id *Identity) JoinedBy(t Token) bool { return id.token != "" && id.token == t.hash() }

// Rejoin makes another identity by a token, with a key of its own, and puts it in the place of id, which stands until the other is
// whole: after an error, and after a kill at any moment, there is the one or the other. It is otherwise as [Join].
func (id *Identity) Rejoin(ctx context.Context, t Token, logger *slog.Logger) (*Identity, error) {
	if sha256.Sum256(id.ca.Raw) != t.CA {
		return nil, fmt.Errorf("%w, edge %q of %s: if this machine is to move there, stop the edge, remove its data folder, tables and "+
			"identity, and start it with the token; else leave --join away", ErrOtherCA, id.Name(), id.origin)
	}
	next := id.dir + nextEnd
	if made, err := load(next); err != nil || !made.JoinedBy(t) {
		if err == nil || !errors.Is(err, fs.ErrNotExist) { // of another token, or damaged
			if err := os.RemoveAll(next); err != nil {
				return nil, err
			}
		}
		if _, err := Join(ctx, t, next, logger); err != nil {
			return nil, err
		}
	}
	if err := replace(id.dir); err != nil {
		return nil, fmt.Errorf("put this edge's new identity in the place of the one before: %w", err)
	}
	return Load(id.dir)
}

// replace moves what lies beside dir, whole, in its place.
func replace(dir string) error {
	if err := os.RemoveAll(dir + pastEnd); err != nil {
		return err
	}
	if err := os.Rename(dir, dir+pastEnd); err != nil {
		return err
	}
	return settle(dir)
}

// settle ends a replacement that was begun, by a process that was killed or by this one.
func settle(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return os.RemoveAll(dir + pastEnd)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from := dir + nextEnd
	if _, err := os.Lstat(dir + pastEnd); err != nil {
		return nil // none was begun: a first join makes dir itself
	}
	if _, err := load(from); err != nil {
		from = dir + pastEnd
	}
	if err := os.Rename(from, dir); err != nil {
		return err
	}
	if err := durable.SyncFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	return os.RemoveAll(dir + pastEnd)
}
