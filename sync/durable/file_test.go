package durable

import (
	"os"
	"path/filepath"
	"testing"
)

// A file in the making has no name, and none is left of one that was given up.
func TestAFileInTheMaking(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	expect := func(want string, files int) {
		t.Helper()
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%q, %v; want %q", b, err, want)
		}
		if all, _ := os.ReadDir(dir); len(all) != files {
			t.Errorf("%v, want %d files", all, files)
		}
	}
	begin := func() *File {
		t.Helper()
		f, err := Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("new"); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := begin()
	expect("old", 2)
	f.Discard()
	expect("old", 1)
	f = begin()
	if err := f.Commit(path); err != nil {
		t.Fatal(err)
	}
	f.Discard() // nothing any more
	expect("new", 1)
	f = begin()
	if err := f.Commit(filepath.Join(dir, "missing", "f")); err == nil {
		t.Error("a folder that is not there passes")
	}
	expect("new", 1)
	_ = begin().Close() // and then killed
	if err := RemoveLeftovers(dir); err != nil {
		t.Fatal(err)
	}
	expect("new", 1)
	if err := RemoveLeftovers(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that is not there has no leftovers")
	}
	if _, err := Create(filepath.Join(dir, "missing")); err == nil {
		t.Error("a file is made in a folder that is not there")
	}
}
