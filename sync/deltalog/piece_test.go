package deltalog

import (
	"bytes"
	"errors"
	"testing"
)

// pieces are the messages that carry record.
func pieces(record []byte) (all [][]byte) {
	for _, p := range piecesOf(record) {
		all = append(all, p)
	}
	return all
}

func TestPiecesComeTogether(t *testing.T) {
	for _, n := range []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 5*pieceSize + 3} {
		record := bytes.Repeat([]byte{byte(n), 1, 2, 3, 4, 5, 6}, n/7+1)[:n]
		pieces := pieces(record)
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

// What stands where a piece was due is passed over with what was begun, and the next whole record comes.
func TestJoinerPassesOverWhatIsNoRecord(t *testing.T) {
	lost, other := pieces(make([]byte, 3*pieceSize)), pieces(bytes.Repeat([]byte{7}, 3*pieceSize))
	kept := bytes.Repeat([]byte{9}, 2*pieceSize)
	for name, stray := range map[string][][]byte{
		"nothing":               {},
		"a front":               lost[:2],
		"a middle piece":        {lost[1]},
		"a piece left out":      {lost[0], lost[2]},
		"a piece twice":         {lost[0], lost[1], lost[1], lost[2]},
		"pieces of two records": {lost[0], other[1], lost[2]},
		"a front, twice":        {lost[0], other[0], lost[1], lost[2]},
		"a server's answer":     {[]byte(`{"type":"io.nats.jetstream.api.v1.account_info_response"}`), nil},
	} {
		var j joiner
		for _, p := range stray {
			if got, err := j.add(p); got != nil || err != nil {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
		var got []byte
		for _, p := range pieces(kept) {
			got, _ = j.add(p)
		}
		if !bytes.Equal(got, kept) {
			t.Errorf("%s: then %d bytes", name, len(got))
		}
	}
}

func TestJoinerRefuses(t *testing.T) {
	pieces := pieces(make([]byte, 3*pieceSize))
	for name, msgs := range map[string][][]byte{
		"cut short":       {pieces[0][:5]},
		"a newer version": {append([]byte("SEp\x03"), pieces[0][4:]...)},
		"no pieces":       {[]byte("SEp\x02\x00\x00\x00\x00\x00\x00\x00\x00")},
		"too many pieces": {[]byte("SEp\x02\x00\x00\xff\xff\x00\x00\x00\x00")},
		"a number past":   {[]byte("SEp\x02\x03\x00\x03\x00\x00\x00\x00\x00")},
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
	f.Add(pieces([]byte("abc"))[0], pieces([]byte("de"))[0])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var j joiner
		for _, m := range [][]byte{a, b} {
			if got, err := j.add(m); err == nil && len(got) > len(a)+len(b) {
				t.Errorf("%d bytes out of %d", len(got), len(a)+len(b))
			}
			if cap(j.record) > firstRoom {
				t.Errorf("%d bytes set aside for %d", cap(j.record), len(m))
			}
		}
	})
}
