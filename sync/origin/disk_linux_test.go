package origin

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scanedge/scanedge/sync/deltalog"
)

// smallDisk is an empty disk of 64 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("scanedge-test", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatalf("mount a small disk, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk leaves so many bytes of a disk, and returns what gives the others back.
func fillDisk(t *testing.T, dir string, left int64) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			t.Fatal(err)
		}
		free := int64(fs.Bavail) * fs.Bsize
		if free <= left {
			break
		}
		if _, err := f.Write(block[:min(int64(len(block)), free-left)]); err != nil {
			break
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// A disk that others fill: pushes are refused while it is full and taken again soon after there is room, by the same process, whether
// the reserve was left to the log or not a byte. What was acknowledged is there, of what was refused nothing.
func TestAFullDisk(t *testing.T) {
	for name, left := range map[string]int64{"into the reserve": 2 << 20, "to the last byte": 0} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t)
			o := open(t, dir, "demo-a", "demo-b")
			model := map[string]string{}
			n := 0
			push := func() int {
				n++
				subject := fmt.Sprint("s", n)
				code := post(o, []string{"demo-a", "demo-b"}[n%2], strings.NewReader(row(subject, "red")), "Idempotency-Key", subject).Code
				model[subject] = map[bool]string{true: "red", false: "none"}[code == http.StatusOK]
				return code
			}
			for range 20 {
				if code := push(); code != http.StatusOK {
					t.Fatal(code)
				}
			}
			for range 2 {
				empty := fillDisk(t, dir, left)
				rec := post(o, "demo-a", strings.NewReader(row("x", "red")))
				if rec.Code != http.StatusInsufficientStorage || rec.Header().Get("Retry-After") != "5" ||
					!strings.Contains(rec.Body.String(), `"log-full"`) || !strings.Contains(rec.Body.String(), filepath.Join(dir, "log")) {
					t.Errorf("full: %d %v %s", rec.Code, rec.Header(), rec.Body)
				}
				time.Sleep(2500 * time.Millisecond) // beats are due meanwhile, and find no room
				for range 4 {
					if code := push(); code != http.StatusInsufficientStorage {
						t.Errorf("a push to a full disk: %d", code)
					}
				}
				if rec := post(o, "demo-b", strings.NewReader(row("s1", "red")), "Idempotency-Key", "s1"); rec.Code != http.StatusOK {
					t.Errorf("a retry of what is stored: %d %s", rec.Code, rec.Body)
				}
				empty()
				for deadline := time.Now().Add(20 * time.Second); push() != http.StatusOK && time.Now().Before(deadline); {
					time.Sleep(50 * time.Millisecond)
				}
				for range 20 {
					if code := push(); code != http.StatusOK {
						t.Errorf("after there was room again: %d", code)
					}
				}
			}
			if !o.Ready() {
				t.Error("given up:", <-o.Broken())
			}
			if o.disk.reopened.IsZero() != (left > 0) {
				t.Errorf("the log was opened anew: %v", !o.disk.reopened.IsZero())
			}
			check := func() {
				t.Helper()
				for i := range n {
					subject := fmt.Sprint("s", i+1)
					if got := o.word([]string{"demo-a", "demo-b"}[(i+1)%2], subject); got != model[subject] {
						t.Errorf("%s is %s, want %s", subject, got, model[subject])
					}
				}
			}
			check()
			o.Close()
			o = open(t, dir, "demo-a", "demo-b")
			check()
			o.Close()
		})
	}
}

// A snapshot for which there is no room is not begun: it would fill the log's disk.
func TestASnapshotLeavesTheLogItsRoom(t *testing.T) {
	dir := smallDisk(t)
	o := open(t, dir, "demo-a")
	var body strings.Builder
	body.WriteString("subject,status\n")
	for i := range 300_000 {
		fmt.Fprintf(&body, "s%d,red\n", i)
	}
	pushOK(t, o, "demo-a", body.String())
	take(t, o)
	pushN(t, o, 1)
	empty := fillDisk(t, dir, 5<<20)
	s := o.writers["demo-a"].snapshots
	if err := s.take(t.Context()); !errors.Is(err, deltalog.ErrFull) {
		t.Errorf("taken: %v", err)
	}
	pushN(t, o, 2)
	empty()
	take(t, o)
	if !o.disk.reopened.IsZero() || !o.Ready() {
		t.Error("the log met a full disk")
	}
	o.Close()
}

// What is stored must find its room beside the reserve, which is a twentieth of a small disk.
func TestTheReserveOfADisk(t *testing.T) {
	dir := smallDisk(t)
	o := open(t, dir, "demo-a")
	empty := fillDisk(t, dir, 8<<20)
	for size, full := range map[int64]bool{0: false, 4 << 20: false, 6 << 20: true, 60 << 20: true} {
		if err := o.disk.check(size, forPushes); errors.Is(err, deltalog.ErrFull) != full {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if err := o.disk.check(6<<20, forSnapshots); err != nil {
		t.Errorf("a snapshot: %v", err)
	}
	empty()
	if err := o.disk.check(40<<20, forPushes); err != nil {
		t.Error(err)
	}
	o.Close()
}
