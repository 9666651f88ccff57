//go:build amd64 || arm64

package cache

import "unsafe"

// prefetch has the processor load the cache line at an address, and does not wait for it. A load in its place would: it can't
// retire before its line is there, and some two hundred instructions later everything stands. The compiler has no word for it.
//
//go:noescape
func prefetch(at unsafe.Pointer)
