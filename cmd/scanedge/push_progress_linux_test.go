package main

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/scanedge/scanedge"
)

// terminal opens a pseudo-terminal: what is written to the second is read from the first.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 120})
	}
	if err == nil {
		tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return screen, tty
}

// TestPushShowsHowFarItIs holds the second push back until the terminal shows that the first is done.
func TestPushShowsHowFarItIs(t *testing.T) {
	content := csvHeader + strings.Join(rows(pieceLines+1), "")
	file := write(t, "x.csv", content)
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"file": {file, []string{"3.1 MiB / 3.1 MiB", "100 %", "200,000 deltas", "ETA 0s"}},
		"pipe": {"-", []string{"3.1 MiB", "200,000 deltas"}},
	} {
		screen, tty := terminal(t)
		o := newFakeOrigin(t)
		o.onPush = func(n int) *scanedge.Problem {
			if n == 2 {
				if seen, err := readUntil(screen, c.want); err != nil {
					t.Errorf("%s: the terminal shows %q: %v", name, seen, err)
				}
			}
			return nil
		}
		var out strings.Builder
		root := newRoot()
		root.SetArgs([]string{"push", "--origin", o.url, "--token", "token", "--state", t.TempDir(), "demo-a", c.file})
		root.SetIn(strings.NewReader(content))
		root.SetOut(&out)
		root.SetErr(tty)
		if err := root.ExecuteContext(t.Context()); err != nil || !strings.HasPrefix(out.String(), "pushed 200,001 deltas") {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
}

// TestPushShowsThatItWaits refuses the push until the terminal shows it.
func TestPushShowsThatItWaits(t *testing.T) {
	file, _ := tenRows(t)
	screen, tty := terminal(t)
	n := 0
	o := newKeyedOrigin(t, func() fate {
		if n++; n == 1 {
			return refuse
		} else if n == 2 {
			if seen, err := readUntil(screen, []string{"waiting for the origin: not-ready"}); err != nil {
				t.Errorf("the terminal shows %q: %v", seen, err)
			}
		}
		return well
	})
	root := newRoot()
	root.SetArgs([]string{"push", "--origin", o.url, "--token", "token", "--state", t.TempDir(), "demo-a", file})
	root.SetOut(io.Discard)
	root.SetErr(tty)
	if err := root.ExecuteContext(t.Context()); err != nil || len(o.lines) != 10 {
		t.Errorf("%d lines, %v", len(o.lines), err)
	}
}

// readUntil reads the screen until all of want has been on it.
func readUntil(screen *os.File, want []string) (string, error) {
	var seen strings.Builder
	for b := make([]byte, 4096); ; {
		n, err := screen.Read(b)
		if err != nil {
			return seen.String(), errors.Join(err, io.ErrUnexpectedEOF)
		}
		seen.Write(b[:n])
		all := true
		for _, w := range want {
			all = all && strings.Contains(seen.String(), w)
		}
		if all {
			return seen.String(), nil
		}
	}
}
