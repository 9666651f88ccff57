//go:build !amd64 && !arm64

package cache

import "unsafe"

// prefetch does nothing where we don't know the instruction: it is about speed alone.
func prefetch(unsafe.Pointer) {}
