package deltalog

import (
	"bytes"
	"errors"
	"testing"
)

func TestPiecesComeTogether(t *testing.T) {
	for _, n := range []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 5*pieceSize + 3} {
		record := bytes.Repeat([]byte{byte(n), 1, 2, 3, 4, 5, 6}, n/7+1)[:n]
		pieces := cut(record)
		if uint64(len(pieces)) != Pieces(n) {
			t.Errorf("%d bytes: %d pieces, Pieces says %d", n, len(pieces), Pieces(n))
		}
		var j joiner
		for i, p := range pieces {
			got, err := j.add(p)
			if err != nil {
				t.Fatal(err)
			}
			if last := i == len(pieces)-1; last != (got != nil) || last && !bytes.Equal(got, record) {
				t.Fatalf("%d bytes: piece %d gave %d bytes", n, i, len(got))
			}
		}
	}
}

// A batch whose commit never came leaves its front behind; the record that follows must not be taken for its rest.
func TestJoinerBeginsAnew(t *testing.T) {
	lost, kept := cut(make([]byte, 3*pieceSize)), cut(bytes.Repeat([]byte{9}, 2*pieceSize))
	var j joiner
	for _, p := range lost[:2] {
		if got, err := j.add(p); got != nil || err != nil {
			t.Fatal(got, err)
		}
	}
	if got, err := j.add(kept[0]); got != nil || err != nil {
		t.Fatal(got, err)
	}
	if got, err := j.add(kept[1]); err != nil || len(got) != 2*pieceSize || got[0] != 9 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestJoinerRefuses(t *testing.T) {
	pieces := cut(make([]byte, 3*pieceSize))
	for name, msgs := range map[string][][]byte{
		"a middle piece first": {pieces[1]},
		"a piece left out":     {pieces[0], pieces[2]},
		"a piece twice":        {pieces[0], pieces[1], pieces[1]},
		"cut short":            {pieces[0][:5]},
		"a newer version":      {append([]byte{2}, pieces[0][1:]...)},
		"no pieces":            {{1, 0, 0, 0, 0, 0}},
	} {
		var j joiner
		var err error
		for _, m := range msgs {
			_, err = j.add(m)
		}
		if !errors.Is(err, errPiece) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzJoiner(f *testing.F) {
	f.Add(cut([]byte("abc"))[0], cut([]byte("de"))[0])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var j joiner
		for _, m := range [][]byte{a, b} {
			if got, err := j.add(m); err == nil && len(got) > len(a)+len(b) {
				t.Errorf("%d bytes out of %d", len(got), len(a)+len(b))
			}
			if cap(j.record) > 33*pieceSize {
				t.Errorf("%d bytes set aside for %d", cap(j.record), len(m))
			}
		}
	})
}
