package replica

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// anonymous is how many bytes of memory this process has that belong to no file.
func anonymous(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &n); err == nil {
			return n << 10
		}
	}
	t.Fatal("no RssAnon")
	return 0
}

// A table that was given up gives its memory back, though it lies where the collector does not see how large it is.
func TestTablesGivenUpKeepNoMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // as where the heap hardly grows
	var image bytes.Buffer
	large := new(cache.Table)
	large.Describe("demo-a", cache.SeedID{})
	for i := range uint64(1_000_000) {
		large.Put(cache.Key{Hi: i * 0x9E3779B97F4A7C15, Lo: i * 0xC2B2AE3D27D4EB4F}, green)
	}
	if _, err := large.WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	r := newTestReplica(t, nil)
	next := func() *track {
		k := newTrack()
		if _, err := k.table.ReadFrom(bytes.NewReader(image.Bytes())); err != nil {
			t.Fatal(err)
		}
		k.beat = time.Now()
		return k
	}
	first := next()
	size := bytesOf(first.table)
	r.took(first, true)
	for name, giveUp := range map[string]func(){
		"shown before": func() { r.took(next(), true) },
		"never shown":  func() { r.forget(next(), step{}) },
	} {
		before := anonymous(t)
		for range 10 {
			giveUp()
		}
		for deadline := time.Now().Add(20 * time.Second); anonymous(t) > before+2*size; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d MB more than before, for a table of %d MB", name, (anonymous(t)-before)>>20, size>>20)
			}
		}
	}
}
