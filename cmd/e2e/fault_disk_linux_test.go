package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// The origin's disk is full: pushes are refused and say so, nothing of them is applied, scans go on; when there is room pushes
// are taken again, by the same process.
func TestFaultFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=100m"); err != nil {
		t.Fatalf("a small disk for the test must be mounted, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 50<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, releaseBin, "--issuers", "gz")
	o.dir = filepath.Join(disk, "origin")
	o.beginOrigin()
	all := startEdges(t, 1, bin, o)
	for round := range 2 {
		acked, last := fillDisk(t, o, round)
		eventually(t, "shown, whatever the disk", func() bool {
			return all[0].metric("scanedge_offset", "gz") >= float64(last.Offset)
		})
		mustStayFull(t, o, all, acked)
		if err := os.Truncate(ballast, int64(20-20*round)<<20); err != nil {
			t.Fatal(err)
		}
		mustTake(t, o, all, fmt.Sprintf("room-%d", round), acked+1)
	}
	// Pushes stop while there is room for beats; others who fill the disk do not, and then the log itself meets its end.
	mustTake(t, o, all, "before-others", 5000)
	others := filepath.Join(disk, "others")
	if err := os.WriteFile(others, make([]byte, 200<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk was to be full: %v", err)
	}
	time.Sleep(2 * time.Second) // beats
	mustStayFull(t, o, all, 5000)
	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
	mustTake(t, o, all, "after-others", 5001)
	if o.gone() {
		t.Errorf("the origin ended: %v", o.cmd.ProcessState)
	}
}

// mustStayFull checks for some seconds that pushes are refused and scans are not, and that nothing of what was refused shows.
func mustStayFull(t *testing.T, o *node, all []*node, number int) {
	t.Helper()
	for range 3 {
		_, err := o.push(t.Context(), "gz", "", rows("fill", 0, 50_000, 10_000))
		mustBeFull(t, err)
		mustAllBe(t, all, o, "gz", "fill", 0, 50_000, number)
		time.Sleep(time.Second)
	}
}

// mustTake pushes a number until it is taken, and awaits it on the edges.
func mustTake(t *testing.T, o *node, all []*node, key string, number int) {
	t.Helper()
	var last scanedge.Receipt
	eventually(t, "taking pushes", func() bool {
		var err error
		last, err = o.push(t.Context(), "gz", key, rows("fill", 0, 50_000, number))
		return err == nil
	})
	awaitOffset(t, all, "gz", last.Offset)
	mustAllBe(t, all, o, "gz", "fill", 0, 50_000, number)
}

// fillDisk pushes until the disk is full, and returns the last number and receipt.
func fillDisk(t *testing.T, o *node, round int) (acked int, last scanedge.Receipt) {
	t.Helper()
	for n := 1 + 1000*round; ; n++ {
		r, err := o.push(t.Context(), "gz", "", rows("fill", 0, 50_000, n))
		if err != nil {
			mustBeFull(t, err)
			return acked, last
		}
		acked, last = n, r
	}
}

func mustBeFull(t *testing.T, err error) {
	t.Helper()
	if !refused(err, scanedge.LogFull) {
		t.Fatalf("a push to a full disk: %v", err)
	}
}
