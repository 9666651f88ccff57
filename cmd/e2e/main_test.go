// Package e2e holds tests alone: whole fleets of real processes, the HTTP contract, the command line, faults. What they start
// is the binary as users run it, built with the race detector.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// The scanedge binary under test: built with the race detector, and as it is released, for tests of a million rows.
var bin, releaseBin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "scanedge-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin, releaseBin = filepath.Join(dir, "scanedge"), filepath.Join(dir, "release", "scanedge")
	for _, args := range [][]string{{"build", "-race", "-o", bin}, {"build", "-o", releaseBin}} {
		build := exec.Command("go", append(args, "../scanedge")...)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building the binary under test:", err)
			return 1
		}
	}
	// A race-built process sleeps a second at its end, to report; the report itself does not need it.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	return m.Run()
}

// startFleet starts a fleet in a folder of its own and stops it with the test.
func startFleet(t *testing.T, subjects int) (*fleet.Fleet, string) {
	t.Helper()
	dir := t.TempDir()
	return startFleetOf(t, bin, dir, subjects), dir
}

func startFleetOf(t *testing.T, exe, dir string, subjects int) *fleet.Fleet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Config{
		Exe: exe, Dir: dir, Edges: 2, Subjects: subjects, Listen: "127.0.0.1:0", Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}
