package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// One at a time; who was given the open file has the lock as well, and it ends with the last of them.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("locked twice: %v", err)
	}
	fd, err := syscall.Dup(int(held.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	given := os.NewFile(uintptr(fd), path)
	held.Close()
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("the one who was given it has no lock: %v", err)
	}
	given.Close()
	again, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := Lock(filepath.Join(path, "none")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a file in a file: %v", err)
	}
}
