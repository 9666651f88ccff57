package issuer

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// framed is a file of records.
func framed(records ...[]byte) []byte {
	var b bytes.Buffer
	for _, r := range records {
		_ = WriteFrame(&b, r)
	}
	return b.Bytes()
}

func frames(b []byte) (records [][]byte, err error) {
	for r, e := range ReadFrames(bytes.NewReader(b)) {
		if e != nil {
			return records, e
		}
		records = append(records, r)
	}
	return records, nil
}

func TestFramesComeBack(t *testing.T) {
	one, _ := seal(testHead(), "body")
	two, _ := seal(testHead(), strings.Repeat("x", 1<<17))
	file := framed(one, two)
	for n := 0; n < len(file); n++ {
		got, err := frames(file[:n])
		whole := n == 0 || n == 4+len(one)
		if whole != (err == nil) || n >= 4+len(one) && (len(got) == 0 || !bytes.Equal(got[0], one)) {
			t.Fatalf("the first %d bytes: %d records, %v", n, len(got), err)
		}
		if n == 4+len(one) {
			n = len(file) - 3 // what lies between is more of the same
		}
	}
	if got, err := frames(file); err != nil || !slices.EqualFunc(got, [][]byte{one, two}, bytes.Equal) {
		t.Errorf("%d records, %v", len(got), err)
	}
	if got, err := frames(one); err != nil || len(got) != 1 || !bytes.Equal(got[0], one) {
		t.Errorf("a bare record: %d records, %v", len(got), err)
	}
	if _, err := frames([]byte("subject,status\nx,red\n")); err == nil || !strings.Contains(err.Error(), "no file of records") {
		t.Errorf("a file of another kind: %v", err)
	}
}

func FuzzReadFrames(f *testing.F) {
	one, _ := seal(testHead(), "body")
	f.Add(framed(one, []byte("x")))
	f.Add(one)
	f.Fuzz(func(t *testing.T, file []byte) {
		records, err := frames(file)
		again := framed(records...)
		if err == nil && !bytes.Equal(again, file) && !(len(records) == 1 && bytes.Equal(records[0], file)) {
			t.Errorf("%x became %x", file, again)
		}
	})
}

// A file whose first record's size looks like the head of a record is a file of records all the same.
func TestASizeIsNoRecord(t *testing.T) {
	for _, size := range []int{'S' | 'E'<<8, 'S' | 'E'<<8 | recordVersion<<16} {
		bare, _ := seal(testHead(), "")
		one, _ := seal(testHead(), strings.Repeat("x", size-len(bare)))
		two, _ := seal(testHead(), "two")
		if file := framed(one, two); !bytes.HasPrefix(file, []byte("SE")) || FrameSize(one)+FrameSize(two) != int64(len(file)) {
			t.Fatalf("the file begins with %q", file[:4])
		}
		if got, err := frames(framed(one, two)); err != nil || !slices.EqualFunc(got, [][]byte{one, two}, bytes.Equal) {
			t.Errorf("%d bytes: %d records, %v", size, len(got), err)
		}
	}
}
