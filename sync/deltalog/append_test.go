package deltalog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// store sends the pieces of a record that are named, as an append does that is cut off.
func store(t *testing.T, l *Log, after uint64, record []byte, numbers ...int) (last uint64) {
	t.Helper()
	all := pieces(record)
	for _, i := range numbers {
		ack, err := l.send("batch", after, all[i], nil)
		if err == nil {
			after++
			err = await(t.Context(), ack, after)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return after
}

func TestAGroupIsStoredWholeAndInOrder(t *testing.T) {
	dir := t.TempDir()
	s, stop := startServer(t, dir)
	l := writerLog(t, s)
	var want []Entry
	var last uint64
	for g, sizes := range [][]int{{1}, {400, 400}, {0, 3 * pieceSize, 5}, {2 * pieceSize, pieceSize + 1}} {
		var group [][]byte
		before := last
		for i, n := range sizes {
			r := bytes.Repeat([]byte{byte(10*g + i)}, n)
			group = append(group, r)
			last += Pieces(n)
			want = append(want, Entry{Seq: last, Record: r})
		}
		if err := l.AppendGroup(t.Context(), before, group); err != nil {
			t.Fatal(err)
		}
	}
	many := make([][]byte, MaxGroup)
	for i := range many {
		many[i] = fmt.Append(nil, i)
		last++
		want = append(want, Entry{Seq: last, Record: many[i]})
	}
	if err := l.AppendGroup(t.Context(), last-MaxGroup, many); err != nil {
		t.Fatal(err)
	}
	stop()
	s, _ = startServer(t, dir)
	got, end := replayed(t, writerLog(t, s), 0)
	if len(got) != len(want) || end != last {
		t.Fatalf("%d records up to %d, want %d up to %d", len(got), end, len(want), last)
	}
	for i, e := range got {
		if e.Seq != want[i].Seq || !bytes.Equal(e.Record, want[i].Record) {
			t.Errorf("record %d: %d bytes at %d, want %d at %d", i, len(e.Record), e.Seq, len(want[i].Record), want[i].Seq)
		}
	}
}

func TestAGroupIsStoredWholeOrNotAtAll(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	for name, tc := range map[string]struct {
		group [][]byte
		after uint64
		says  string
	}{
		"after another place": {[][]byte{{1}, {2}}, 7, "sequence"},
		"no records":          {nil, 0, "no records"},
		"too many messages":   {make([][]byte, MaxGroup+1), 0, fmt.Sprint(MaxGroup)},
		"too many bytes":      {[][]byte{make([]byte, MaxRecord), {1}}, 0, fmt.Sprint(MaxRecord)},
	} {
		if err := l.AppendGroup(t.Context(), tc.after, tc.group); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, last := replayed(t, l, 0); len(got) != 0 || last != 0 {
		t.Errorf("%d records up to %d", len(got), last)
	}
	if err := l.AppendBeat(t.Context(), 0, make([]byte, pieceSize+1)); err == nil {
		t.Error("a beat of two messages was taken")
	}
}

// An append may end anywhere; what it left is no record, wherever the reader comes by.
func TestAnAppendThatWasCutOffLeavesNoRecord(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	lost := bytes.Repeat([]byte{1}, 4*pieceSize)
	whole := bytes.Repeat([]byte{2}, 4*pieceSize)
	check := func(where string, n int, want uint64) {
		t.Helper()
		got, last := replayed(t, l, 0)
		if len(got) != n || last != want {
			t.Fatalf("%s: %d records up to %d, want %d up to %d", where, len(got), last, n, want)
		}
		for i, e := range got {
			if !bytes.Equal(e.Record, whole) {
				t.Fatalf("%s: record %d is %d bytes of another", where, i, len(e.Record))
			}
		}
	}
	last := store(t, l, 0, lost, 0, 1, 2)
	check("alone", 0, 3)
	if err := l.Append(t.Context(), last, whole); err != nil {
		t.Fatal(err)
	}
	check("before a record", 1, 7)
	last = store(t, l, 7, lost, 0)
	check("at the end", 1, 8)
	last = store(t, l, last, whole, 0)
	last = store(t, l, last, lost, 2) // late, and just where the other's second piece was due
	check("in the middle of another", 1, 10)
	if err := l.Append(t.Context(), last, whole); err != nil {
		t.Fatal(err)
	}
	check("before the last", 2, 14)
}
