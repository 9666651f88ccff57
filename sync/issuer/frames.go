package issuer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
)

const (
	// maxFrame is the size of the largest record in a file of records, in bytes: no log takes a larger one.
	maxFrame = 128 << 20
	// likelyFrame is as much as is made room for on a size's word, in bytes: a push of a million deltas fits.
	likelyFrame = 21 << 20
)

// WriteFrame writes a record as it stands in a file of records: its size, a little-endian u32, then its bytes.
func WriteFrame(w io.Writer, record []byte) error {
	_, err := w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(record))))
	if err == nil {
		_, err = w.Write(record)
	}
	return err
}

// FrameSize is the number of bytes that WriteFrame writes.
func FrameSize(record []byte) int64 { return 4 + int64(len(record)) }

// ReadFrames yields the records of a file of records, or the one that a file is if it is a record itself. After an error it yields
// no more.
func ReadFrames(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReader(r)
		if head, _ := in.Peek(6); isRecord(head) && !isRecord(head[min(4, len(head)):]) { // the size of a frame may look like a record's head
			yield(readAtMost(in, maxFrame))
			return
		}
		for n := 1; ; n++ {
			record, err := ReadFrame(in)
			if err == io.EOF {
				return
			}
			if err != nil {
				err = fmt.Errorf("record %d: %w", n, err)
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

func isRecord(head []byte) bool { return bytes.HasPrefix(head, []byte("SE")) }

// ReadFrame reads what WriteFrame wrote. io.EOF: there is no more. It takes memory for what is there, on a size's word no more than a
// usual push takes.
func ReadFrame(in io.Reader) ([]byte, error) {
	var size [4]byte
	switch _, err := io.ReadFull(in, size[:]); {
	case err == io.ErrUnexpectedEOF:
		return nil, fmt.Errorf("its size is cut short: %w", err)
	case err != nil:
		return nil, err
	}
	want := int64(binary.LittleEndian.Uint32(size[:]))
	if want > maxFrame {
		return nil, fmt.Errorf("%d bytes; this is no file of records", want)
	}
	record := make([]byte, min(want, likelyFrame))
	n, err := io.ReadFull(in, record)
	if err == nil && want > likelyFrame {
		var rest []byte
		rest, err = readAtMost(in, want-likelyFrame)
		record = append(record, rest...)
		n = len(record)
	}
	ended := err == nil || err == io.EOF || err == io.ErrUnexpectedEOF
	switch {
	case int64(n) == want:
		return record, nil
	case ended:
		err = fmt.Errorf("cut short: %d of %d bytes: %w", n, want, io.ErrUnexpectedEOF)
	}
	return nil, err
}

// readAtMost takes memory for what is there.
func readAtMost(in io.Reader, most int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, io.LimitReader(in, most))
	return b.Bytes(), err
}
