package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// cutAll splits in and returns its pieces, checked against the limits, and the error that ended it.
func cutAll(t *testing.T, s *splitter) ([]*piece, error) {
	t.Helper()
	var pieces []*piece
	for {
		p, err := s.Next()
		if err == io.EOF {
			return pieces, nil
		}
		if err != nil {
			return pieces, err
		}
		lines := bytes.Count(p.body, []byte("\n"))
		if len(pieces) > 0 && pieces[len(pieces)-1].next != p.first {
			t.Fatalf("a piece of lines %d to %d follows one up to %d", p.first, p.next-1, pieces[len(pieces)-1].next-1)
		}
		if p.next-p.first > s.limits.Lines || p.next == p.first && (p.header == 0 || len(pieces) > 0) || lines > p.next-p.first+1 {
			t.Fatalf("a piece says lines %d to %d, has %d line ends and may have %d lines", p.first, p.next-1, lines, s.limits.Lines)
		}
		if len(p.body) > s.limits.Bytes && p.next-p.first > 1 {
			t.Fatalf("a piece of %d lines has %d bytes, may have %d", p.next-p.first, len(p.body), s.limits.Bytes)
		}
		pieces = append(pieces, p)
	}
}

// checkPieces holds the pieces against the model: the input's lines, split by the standard library. Every line is where its
// piece says that it is, each once, in order.
func checkPieces(t *testing.T, in string, csv bool, pieces []*piece) {
	t.Helper()
	model := strings.SplitAfter(in, "\n")
	if model[len(model)-1] == "" {
		model = model[:len(model)-1]
	}
	at := 0 // lines of the model that are accounted for
	header := ""
	if csv {
		for at < len(model) && strings.TrimSpace(model[at]) == "" {
			at++
		}
		if at < len(model) {
			header = model[at]
			at++
		}
	}
	for _, p := range pieces {
		body, ok := strings.CutPrefix(string(p.body), header)
		if !ok {
			t.Fatalf("%q does not begin with the header %q", p.body, header)
		}
		inPiece := 0
		if csv {
			inPiece = 1
			if model[p.fileLine(1)-1] != header {
				t.Fatalf("the header is said to be line %d", p.fileLine(1))
			}
		}
		for line := range strings.Lines(body) {
			inPiece++
			if at == len(model) || line != model[at] || p.fileLine(inPiece) != at+1 {
				t.Fatalf("line %d of the piece is %q, of line %d; the file has %q", inPiece, line, p.fileLine(inPiece), model[at:])
			}
			at++
		}
		if p.next != at+1 {
			t.Fatalf("says that line %d is next, but it is %d", p.next, at+1)
		}
	}
	if at != len(model) || header != "" && len(pieces) == 0 {
		t.Fatalf("%d of %d lines are in pieces", at, len(model))
	}
}

func checkSplit(t *testing.T, in string, csv bool, maxBytes, maxLines int, r io.Reader) []*piece {
	t.Helper()
	s := newSplitter(r, csv)
	s.limits = limits{maxBytes, maxLines}
	pieces, err := cutAll(t, s)
	if err != nil {
		t.Fatal(err)
	}
	checkPieces(t, in, csv, pieces)
	return pieces
}

func TestPiecesAreTheFile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		var in strings.Builder
		for range rnd.IntN(20) {
			in.WriteString(strings.Repeat("x", rnd.IntN(8)))
			in.WriteString([]string{"\n", "\r\n", "\r", " ", "\n\n", ""}[rnd.IntN(6)])
		}
		csv, maxBytes, maxLines := rnd.IntN(2) == 0, 1+rnd.IntN(60), 1+rnd.IntN(6)
		whole, bits := strings.NewReader(in.String()), strings.NewReader(in.String())
		for _, r := range []io.Reader{whole, iotest.DataErrReader(iotest.HalfReader(bits))} {
			checkSplit(t, in.String(), csv, maxBytes, maxLines, r)
		}
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("subject,status\r\na,red\n\nb,green", true, 20, 2)
	f.Add("{}\n{}\n", false, 3, 1)
	f.Fuzz(func(t *testing.T, in string, csv bool, maxBytes, maxLines int) {
		if len(in) < lineBytes && maxBytes > 0 && maxLines > 0 {
			checkSplit(t, in, csv, maxBytes, maxLines, strings.NewReader(in))
		}
	})
}

// TestPiecesAreFilled: a row more does not fit any piece but the last, by lines or by bytes.
func TestPiecesAreFilled(t *testing.T) {
	in := "subject,status\n" + strings.Repeat("d00,red\n", 100)
	for _, limit := range []struct{ bytes, lines, want int }{
		{1 << 20, 30, 4},
		{1 << 20, 100, 1},
		{15 + 8*25, 1000, 4},
		{15 + 8*25 - 1, 1000, 5}, // 24 rows a piece
		{1, 1000, 100},           // a row a piece at least
	} {
		pieces := checkSplit(t, in, true, limit.bytes, limit.lines, strings.NewReader(in))
		if len(pieces) != limit.want {
			t.Errorf("limits %+v make %d pieces", limit, len(pieces))
		}
	}
}

// endless counts what is read of a line without end.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	e.read += len(b)
	return len(b), nil
}

func TestLongLines(t *testing.T) {
	longest := strings.Repeat("é", lineBytes/2)
	for _, csv := range []bool{false, true} {
		for _, in := range []string{longest, longest + "\n", longest + "\r\n", "h\n" + longest + "\nx\n"} {
			checkSplit(t, in, csv, pieceBytes, pieceLines, strings.NewReader(in))
		}
		for _, end := range []string{"", "\n", "\r\n", "\nx"} {
			_, err := cutAll(t, newSplitter(strings.NewReader("a\n\n"+longest+"x"+end), csv))
			if err == nil || err.Error() != "line 3 is longer than 65,536 bytes" {
				t.Errorf("csv %v, end %q: got %v", csv, end, err)
			}
		}
		e := new(endless)
		pieces, err := cutAll(t, newSplitter(e, csv))
		if err == nil || err.Error() != "line 1 is longer than 65,536 bytes" || len(pieces) > 0 {
			t.Errorf("got %v, %d pieces", err, len(pieces))
		}
		if e.read > 2*lineBytes {
			t.Errorf("%d bytes of a line without end were read", e.read)
		}
	}
}

// TestNoPieceOfWhatCouldNotBeRead: whole pieces before the fault are good, the lines since the last are not handed out.
func TestNoPieceOfWhatCouldNotBeRead(t *testing.T) {
	fault := errors.New("disk on fire")
	for lines := range 8 {
		var in strings.Builder
		for i := range lines {
			fmt.Fprintf(&in, "{%d}\n", i)
		}
		for _, tail := range []string{"", "{half"} {
			s := newSplitter(io.MultiReader(strings.NewReader(in.String()+tail), iotest.ErrReader(fault)), false)
			s.limits.Lines = 3
			pieces, err := cutAll(t, s)
			if !errors.Is(err, fault) || len(pieces) != lines/3 {
				t.Errorf("%d lines and %q: %d pieces, %v", lines, tail, len(pieces), err)
			}
			if _, again := s.Next(); !errors.Is(again, fault) {
				t.Errorf("after the fault comes %v", again)
			}
		}
	}
}
