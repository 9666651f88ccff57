package deltalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk is a folder on a disk of its own, of 40 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=40m"); err != nil {
		t.Fatalf("mount a small tmpfs on %s: %v; this test has to run as root, where mounts are permitted", dir, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// ballast fills the disk of a server up to so many bytes that stay free.
func ballast(t *testing.T, s *Server, free int64) (remove func()) {
	t.Helper()
	room, _, err := s.Room()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.cfg.Dir, "ballast")
	if err := os.WriteFile(path, make([]byte, room-free), 0o600); err != nil {
		t.Fatal(err)
	}
	if room, _, err = s.Room(); err != nil || room > free {
		t.Fatalf("%d bytes free, want %d: %v", room, free, err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// appendUntilFull appends what next makes until the log is full, and returns what was acknowledged and the sequence of its last message.
func appendUntilFull(t *testing.T, l *Log, after uint64, next func(i int) [][]byte) (acked [][]byte, last uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := 0; ; i++ {
		group := next(i)
		err := l.AppendGroup(ctx, after, group)
		if errors.Is(err, ErrFull) {
			return acked, after
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range group {
			after += Pieces(len(r))
		}
		acked = append(acked, group...)
	}
}

// holds fails unless got are all of want and, after them, whole records of more.
func holds(t *testing.T, got []Entry, want, more [][]byte) {
	t.Helper()
	if len(got) < len(want) || len(got) > len(want)+len(more) {
		t.Fatalf("%d records; %d were acknowledged, and %d tried", len(got), len(want), len(more))
	}
	for i, r := range append(want[:len(want):len(want)], more...)[:len(got)] {
		if !bytes.Equal(got[i].Record, r) {
			t.Fatalf("record %d is %d bytes of another", i, len(got[i].Record))
		}
	}
}

func TestAFullDiskIsSaidAndGotOver(t *testing.T) {
	for name, tc := range map[string]struct {
		free int64
		size int
	}{
		"small records": {300 << 10, 20 << 10},
		"large records": {9 << 20, 3 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := startServer(t, smallDisk(t))
			l := writerLog(t, s)
			followed := follower(t, writerLog(t, s))
			remove := ballast(t, s, tc.free)
			record := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, tc.size) }
			acked, last := appendUntilFull(t, l, 0, func(i int) [][]byte { return [][]byte{record(i)} })
			more := [][]byte{record(len(acked))}
			if len(acked) == 0 {
				t.Fatal("nothing was acknowledged")
			}

			remove()
			if err := l.AppendBeat(t.Context(), last, []byte("beat")); !errors.Is(err, ErrFull) {
				t.Errorf("before it is opened anew: %v", err)
			}
			if err := s.Reopen(); err != nil {
				t.Fatal(err)
			}
			got, last := replayed(t, l, 0)
			holds(t, got, acked, more)
			if err := l.Append(t.Context(), last, record(99)); err != nil {
				t.Fatal(err)
			}
			if err := l.AppendBeat(t.Context(), last+Pieces(tc.size), []byte("beat")); err != nil {
				t.Fatal(err)
			}
			got2, _ := replayed(t, l, 0)
			if len(got2) != len(got)+1 {
				t.Errorf("%d records, then %d", len(got), len(got2))
			}
			eventually(t, func() error {
				if n := followed(); n < len(got2) {
					return fmt.Errorf("a follower has seen %d of %d records", n, len(got2))
				}
				return nil
			})
		})
	}
}

func TestABeatOnAFullDisk(t *testing.T) {
	s, _ := startServer(t, smallDisk(t))
	l := writerLog(t, s)
	remove := ballast(t, s, 4<<10)
	var last uint64
	err := error(nil)
	for ; err == nil; last++ {
		err = l.AppendBeat(t.Context(), last, make([]byte, 400))
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if err := s.Reopen(); err != nil {
		t.Fatalf("on a disk that is full still: %v", err)
	}
	remove()
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { last, err = l.Last(t.Context()); return err })
	if last == 0 {
		t.Fatal("no beat was acknowledged")
	}
	if err := l.AppendBeat(t.Context(), last, nil); err != nil {
		t.Error(err)
	}
}

// A group stops short of the full disk, for that would keep a part of it; and then the log goes on by itself.
func TestAGroupIsRefusedWhileThereIsRoomForLess(t *testing.T) {
	s, _ := startServer(t, smallDisk(t))
	l := writerLog(t, s)
	remove := ballast(t, s, 8<<20)
	group := func(i int) (g [][]byte) {
		for j := range 3 {
			g = append(g, fmt.Appendf(make([]byte, 100<<10), "%d %d", i, j))
		}
		return g
	}
	acked, last := appendUntilFull(t, l, 0, group)
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	if err := l.Append(t.Context(), last, []byte("small")); err != nil {
		t.Errorf("a small record: %v", err)
	}
	remove()
	if err := l.AppendGroup(t.Context(), last+1, group(99)); err != nil {
		t.Error(err)
	}
	got, _ := replayed(t, l, 0)
	holds(t, got, append(append(acked, []byte("small")), group(99)...), nil)
}

// What filled a disk can also empty it.
func TestTrimMakesRoomOnAFullDisk(t *testing.T) {
	s, _ := startServer(t, smallDisk(t))
	l := writerLog(t, s)
	acked, last := appendUntilFull(t, l, 0, func(i int) [][]byte { return [][]byte{bytes.Repeat([]byte{byte(i)}, 100<<10)} })
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return l.Trim(t.Context(), last/2) })
	if room, _, err := s.Room(); err != nil || room < 10<<20 {
		t.Errorf("%d bytes of room: %v", room, err)
	}
	got, last := replayed(t, l, 0)
	holds(t, got, acked[last/2:], [][]byte{nil})
	if err := l.Append(t.Context(), last, make([]byte, 5<<20)); err != nil {
		t.Error(err)
	}
}

// How much the log may take is for the disk to say, not for what was free when the server started.
func TestRoomThatCameLaterCanBeUsed(t *testing.T) {
	dir := smallDisk(t)
	s, stop := startServer(t, dir)
	remove := ballast(t, s, 2<<20)
	stop()
	s, _ = startServer(t, dir)
	remove()
	if err := writerLog(t, s).Append(t.Context(), 0, make([]byte, 10<<20)); err != nil {
		t.Error(err)
	}
}

func TestReopenAfterStop(t *testing.T) {
	s, stop := startServer(t, t.TempDir())
	stop()
	if err := s.Reopen(); err == nil {
		t.Error("a server that was stopped came back")
	}
}
