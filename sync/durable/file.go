package durable

import (
	"os"
	"path/filepath"
)

const newPrefix = ".new-"

// File is a file in the making. It has no name that counts before Commit; until then, and after a crash, what was there stands.
type File struct {
	*os.File
	done bool
}

// Create begins a file, mode 0600, that is to lie in the folder dir.
func Create(dir string) (*File, error) {
	f, err := os.CreateTemp(dir, newPrefix+"*") // CreateTemp makes it 0600
	if err != nil {
		return nil, err
	}
	return &File{File: f}, nil
}

// Commit gives the file its path, in the folder that it was created in, replacing what was there in one step. After an error
// the file is gone.
func (f *File) Commit(path string) error {
	defer f.Discard()
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = Rename(f.Name(), path)
	}
	f.done = err == nil
	return err
}

// Discard removes the file, unless it was committed.
func (f *File) Discard() {
	if !f.done {
		f.done = true
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
}

// RemoveLeftovers removes what writers that were killed left in a folder. Nobody may be writing there.
func RemoveLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); len(name) > len(newPrefix) && name[:len(newPrefix)] == newPrefix {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
