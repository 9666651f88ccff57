package deltalog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// onDisk is how many bytes the files in a folder take.
func onDisk(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file that the server replaced meanwhile
		t.Fatal(err)
	}
	return n
}

func bounds(t *testing.T, l *Log) (first, last, bytes uint64) {
	t.Helper()
	first, last, bytes, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return first, last, bytes
}

func TestTrimGivesTheSpaceBack(t *testing.T) {
	dir := t.TempDir()
	s, stop := startServer(t, dir)
	l := writerLog(t, s)
	const size = 3 << 20
	if first, last, n := bounds(t, l); first != 1 || last != 0 || n != 0 {
		t.Errorf("a new log is from %d to %d, %d bytes", first, last, n)
	}
	if err := l.AppendGroup(t.Context(), 0, make([][]byte, MaxGroup)); err != nil { // more than is purged at a time
		t.Fatal(err)
	}
	last := uint64(MaxGroup)
	for i := range 20 {
		if err := l.Append(t.Context(), last, bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			t.Fatal(err)
		}
		last += Pieces(size)
	}
	if n := onDisk(t, dir); n < 20*size {
		t.Fatalf("%d bytes on disk hold %d", n, 20*size)
	}
	kept := MaxGroup + 15*Pieces(size)
	for range 2 { // what is gone already is no error
		if err := l.Trim(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Trim(t.Context(), 3); err != nil {
		t.Error(err)
	}
	if n := onDisk(t, dir); n > 5*size+10<<20 {
		t.Errorf("%d bytes on disk for %d", n, 5*size)
	}
	if first, end, n := bounds(t, l); first != kept+1 || end != last || n < 5*size || n > 6*size {
		t.Errorf("from %d to %d, %d bytes", first, end, n)
	}
	for _, after := range []uint64{0, 7, kept - 1, kept} {
		got, end := replayed(t, l, after)
		if len(got) != 5 || got[0].Record[0] != 15 || got[0].Seq != kept+Pieces(size) || end != last {
			t.Errorf("after %d: %d records up to %d", after, len(got), end)
		}
	}
	if err := l.Trim(t.Context(), last+1); !errors.Is(err, ErrRewound) {
		t.Errorf("past the end: %v", err)
	}
	if _, end, _ := bounds(t, l); end != last {
		t.Fatalf("the end moved to %d", end)
	}
	stop()
	s, _ = startServer(t, dir)
	if first, end, _ := bounds(t, writerLog(t, s)); first != kept+1 || end != last {
		t.Errorf("after a restart it is from %d to %d", first, end)
	}
}

// A copy of the files of a running server is what a kill leaves.
func TestTheEndOutlivesATrimOfAll(t *testing.T) {
	dir := t.TempDir()
	s, _ := startServer(t, dir)
	l := writerLog(t, s)
	for i := range 5 {
		if err := l.Append(t.Context(), uint64(i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	check := func(l *Log) {
		t.Helper()
		if first, last, n := bounds(t, l); first != 6 || last != 5 || n != 0 {
			t.Errorf("from %d to %d, %d bytes", first, last, n)
		}
		if got, last := replayed(t, l, 0); len(got) != 0 || last != 5 {
			t.Errorf("%d records up to %d", len(got), last)
		}
	}
	if err := l.Trim(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	check(l)
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s, _ = startServer(t, killed)
	l = writerLog(t, s)
	check(l)
	if err := l.Append(t.Context(), 5, []byte("y")); err != nil {
		t.Fatal(err)
	}
	if got, last := replayed(t, l, 0); len(got) != 1 || got[0].Seq != 6 || last != 6 {
		t.Errorf("%d records up to %d", len(got), last)
	}
}

// Beats that expire and batches that are trimmed leave nothing behind, as often as they come.
func TestTheDiskStaysSmallOverManyTrims(t *testing.T) {
	dir := t.TempDir()
	s, _ := startServer(t, dir)
	l := writerLog(t, s)
	const size = 2 << 20
	var last, before uint64
	var most int64
	for cycle := range 30 {
		for range 20 {
			ack, err := l.send("beat", last, pieces([]byte("beat"))[0], []jetstream.PublishOpt{jetstream.WithMsgTTL(time.Second)})
			if err == nil {
				last++
				err = await(t.Context(), ack, last)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Append(t.Context(), last, bytes.Repeat([]byte{byte(cycle)}, size)); err != nil {
			t.Fatal(err)
		}
		if err := l.Trim(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		last += Pieces(size)
		before = last
		most = max(most, onDisk(t, dir))
	}
	if most > 2*size+20<<20 {
		t.Errorf("%d bytes on disk for two records of %d", most, size)
	}
	eventually(t, func() error {
		if got, end := replayed(t, l, 0); len(got) != 1 || end != last {
			return fmt.Errorf("%d records up to %d, want 1 up to %d", len(got), end, last)
		}
		return nil
	})
}

// A log that takes the place of one that is lost begins where it is told to, also after restarts, and only if it never held anything.
func TestALogBeginsElsewhere(t *testing.T) {
	const begin = uint64(1_800_000_000_000_000)
	dir := t.TempDir()
	s, stop := startServer(t, dir)
	l := writerLog(t, s)
	begins := func(at uint64) {
		t.Helper()
		if err := l.Begin(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	begins(begin)
	begins(begin) // as after a crash
	if first, last, n := bounds(t, l); first != begin || last != begin-1 || n != 0 {
		t.Errorf("from %d to %d, %d bytes", first, last, n)
	}
	if all, last := replayed(t, l, 17); len(all) != 0 || last != begin-1 {
		t.Errorf("%d records, the last at %d", len(all), last)
	}
	stop()
	s, stop = startServer(t, dir)
	l = writerLog(t, s)
	if err := l.Append(t.Context(), 0, []byte("at the old start")); err == nil {
		t.Error("it takes what is to lie at the old start")
	}
	if err := l.AppendGroup(t.Context(), begin-1, [][]byte{[]byte("one"), []byte("two")}); err != nil {
		t.Fatal(err)
	}
	begins(begin + 100)
	stop()
	s, _ = startServer(t, dir)
	l = writerLog(t, s)
	if all, last := replayed(t, l, 17); len(all) != 2 || all[0].Seq != begin || string(all[1].Record) != "two" || last != begin+1 {
		t.Errorf("%v, the last at %d", all, last)
	}
	if err := l.Trim(t.Context(), 17); err != nil {
		t.Error(err)
	}
	if err := l.Trim(t.Context(), begin); err != nil {
		t.Error(err)
	}
	if first, last, _ := bounds(t, l); first != begin+1 || last != begin+1 {
		t.Errorf("after a trim from %d to %d", first, last)
	}
}
