// Package durable writes files that are either the old or the new one, whole, also after the power went.
//
// What the kernel is asked, in order: open a temporary file in the same folder; write; fsync it; rename it over the old one;
// fsync the folder, without which the rename itself may be undone. The sad path that is left: a crash between the rename and
// the folder's fsync may show either file.
//
//   - durable.go: [WriteFile] and [WriteJSON], for what is in memory; [Rename], [SyncFolder]
//   - file.go: [File], for what is written bit by bit
//   - lock.go: [Lock], for what is one process's alone
package durable

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteJSON writes v as indented JSON to path, mode 0600, replacing what was there in one step.
func WriteJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(path, append(b, '\n'))
}

// WriteFile writes b to path, mode 0600, replacing what was there in one step.
func WriteFile(path string, b []byte) error {
	f, err := Create(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Commit(path)
}

// Rename renames a file, whose content must have been fsynced, within its folder, replacing what was there in one step.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(to))
}

// SyncFolders is SyncFolder for a folder and all below it.
func SyncFolders(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return SyncFolder(path)
	})
}

// SyncFolder fsyncs a folder, so that what was made in it keeps its name.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
