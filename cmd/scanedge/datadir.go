package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// dataVersion is the version of a data folder's layout. A folder of a newer one is left alone.
const dataVersion = 1

// lockWithin is how long a start waits for the last process on the folder to end.
const lockWithin = 5 * time.Second

// dataDir is a process's folder, locked for it alone:
//
//	scanedge.json   version and role of the folder
//	lock            held (flock) by the process that uses it
//	listening.json  where that process listens; removed when it ends well
//	handover.sock   where an edge's process is asked to hand over; likewise
type dataDir struct {
	path string
	lock *os.File
	lent bool // what says where to find a process is another's
}

type dirMark struct {
	Version int    `json:"version"`
	Role    string `json:"role"`
}

// openDataDir makes the folder if need be and takes it for a role, "origin" or "edge".
func openDataDir(ctx context.Context, path, role string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open data folder: %w; give a --dir that can be written", err)
	}
	lock, err := lockFolder(ctx, path)
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("open data folder %q: another process uses it; stop that one, or give another --dir", path)
	} else if err != nil {
		return nil, fmt.Errorf("open data folder %q: %w; give a --dir that can be written", path, err)
	}
	d := &dataDir{path: path, lock: lock}
	if err := d.mark(role); err != nil {
		_ = d.lock.Close()
		return nil, fmt.Errorf("open data folder %q: %w", path, err)
	}
	return d, nil
}

// lockFolder waits a while for the last process in the folder to end.
func lockFolder(ctx context.Context, path string) (*os.File, error) {
	for deadline := time.Now().Add(lockWithin); ; {
		lock, err := durable.Lock(filepath.Join(path, "lock"))
		if !errors.Is(err, durable.ErrLocked) || time.Now().After(deadline) {
			return lock, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// mark checks whose folder it is, or makes it the role's.
func (d *dataDir) mark(role string) error {
	b, err := os.ReadFile(d.file("scanedge.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return durable.WriteJSON(d.file("scanedge.json"), dirMark{dataVersion, role})
	}
	var m dirMark
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read scanedge.json: %w", err)
	case m.Version > dataVersion:
		return fmt.Errorf("its version is %d, this scanedge knows %d; run a newer scanedge, or give another --dir", m.Version, dataVersion)
	case m.Role != role:
		return fmt.Errorf("it is the folder of an %s, not of an %s; give another --dir", m.Role, role)
	}
	return nil
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// warnExposed warns of a folder that others than its user may enter, and of files with secrets in it that they may read.
func (d *dataDir) warnExposed(logger *slog.Logger, secrets ...string) {
	paths := []string{d.path}
	for _, pattern := range secrets {
		found, _ := filepath.Glob(d.file(pattern))
		paths = append(paths, found...)
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			logger.Warn("others than its user can get at this; take that from them: chmod go= "+path, "path", path, "mode", info.Mode().Perm().String())
		}
	}
}

// announce tells whoever started the process where it listens.
func (d *dataDir) announce(v any) error {
	if err := durable.WriteJSON(d.file("listening.json"), v); err != nil {
		return fmt.Errorf("announce where this process listens: %w", err)
	}
	return nil
}

func (d *dataDir) close() {
	if !d.lent {
		_ = os.Remove(d.file("listening.json"))
		_ = os.Remove(handoverPath(d.path))
	}
	_ = d.lock.Close()
}
