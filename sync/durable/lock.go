package durable

import (
	"errors"
	"os"
	"syscall"
)

// ErrLocked is the error of a lock that another process holds.
var ErrLocked = errors.New("locked by another process")

// Lock opens the file at path, made if need be, and locks it (flock), or returns [ErrLocked] at once. The lock goes with the open file:
// it ends when the last process that has it open closes it or is gone, so no crash leaves one behind, and who is given the
// open file has the lock too. The file must never be removed, or two could hold it.
func Lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return f, nil
}
