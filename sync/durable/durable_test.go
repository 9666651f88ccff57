package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileReplacesInOneStep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, want := range []string{"first", "second, longer", ""} {
		if err := WriteFile(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
}

// A reader that opened the old file goes on reading the old one: it was replaced, not written over.
func TestWriteFileLeavesTheOldOneWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteFile(path, []byte("new and longer")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 20)
	if n, _ := f.Read(b); string(b[:n]) != "old" {
		t.Errorf("the old file now reads %q", b[:n])
	}
}

func TestWriteFileFailsWhole(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "f")
	if err := os.Mkdir(target, 0o700); err != nil { // a rename over a folder fails
		t.Fatal(err)
	}
	if err := WriteFile(target, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
	if err := WriteFile(filepath.Join(dir, "missing", "f"), nil); err == nil {
		t.Error("a folder that is not there passes")
	}
}

func TestSyncFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "a", "b", "file"), nil); err != nil {
		t.Fatal(err)
	}
	if err := SyncFolders(dir); err != nil {
		t.Error(err)
	}
	if err := SyncFolders(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there was synced")
	}
}
