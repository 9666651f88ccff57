package deltalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A message is a piece of a record:
//
//	offset  size
//	     0     3  "SEp"
//	     3     1  version, 2
//	     4     2  number of this piece, from 0, little-endian
//	     6     2  pieces of the record in all, little-endian
//	     8     4  CRC-32C of the record, little-endian: pieces of two records never join
//	    12     …  up to pieceSize bytes of the record
//
// What does not begin so is nobody's record, and is passed over: whoever may ask the server anything can have its answer stored here,
// for a reply subject is outside of his permissions.
const (
	pieceMagic   = "SEp"
	pieceVersion = 2
	pieceHead    = 12
	pieceSize    = 1000 << 10 // with its headers less than a server's usual max_payload of 1 MiB
	maxPieces    = (MaxRecord + pieceSize - 1) / pieceSize
)

// firstRoom is the room that is made for a record on its first piece's word, in bytes: a push of a million deltas fits. A record that
// outgrows its room leaves garbage of several times its size.
const firstRoom = 21 * pieceSize

// MaxRecord is the size of the largest record, in bytes.
const MaxRecord = 128 << 20

// Pieces returns in how many messages a record of size bytes is stored: what it adds to the log's last sequence.
func Pieces(size int) uint64 { return uint64(max(1, (size+pieceSize-1)/pieceSize)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// piecesOf yields the messages that carry record, each made when it is asked for.
func piecesOf(record []byte) func(yield func(i int, piece []byte) bool) {
	n, sum := int(Pieces(len(record))), crc32.Checksum(record, castagnoli)
	return func(yield func(int, []byte) bool) {
		for i := range n {
			part := record[i*pieceSize : min(len(record), (i+1)*pieceSize)]
			b := make([]byte, pieceHead, pieceHead+len(part))
			copy(b, pieceMagic)
			b[3] = pieceVersion
			binary.LittleEndian.PutUint16(b[4:], uint16(i))
			binary.LittleEndian.PutUint16(b[6:], uint16(n))
			binary.LittleEndian.PutUint32(b[8:], sum)
			if !yield(i, append(b, part...)) {
				return
			}
		}
	}
}

// joiner puts records together again. An append that was cut off leaves the front of a record behind, and others follow: a first
// piece always begins anew, and a piece that does not belong to what was begun is passed over, with what was begun.
type joiner struct {
	record []byte
	next   int
	total  int
	sum    uint32
}

var errPiece = errors.New("not a piece of a record")

// add takes the next message and returns the record that it completes, or nil. The record is the caller's.
func (j *joiner) add(msg []byte) ([]byte, error) {
	switch {
	case !bytes.HasPrefix(msg, []byte(pieceMagic)):
		return nil, nil
	case len(msg) < pieceHead:
		return nil, fmt.Errorf("%w: %d bytes", errPiece, len(msg))
	case msg[3] != pieceVersion:
		return nil, fmt.Errorf("%w that this scanedge knows: version %d, not %d; run the release that wrote it", errPiece, msg[3], pieceVersion)
	}
	i, n := int(binary.LittleEndian.Uint16(msg[4:])), int(binary.LittleEndian.Uint16(msg[6:]))
	sum, part := binary.LittleEndian.Uint32(msg[8:]), msg[pieceHead:]
	switch {
	case n == 0 || n > maxPieces || i >= n || len(part) > pieceSize:
		return nil, fmt.Errorf("%w: number %d of %d, %d bytes", errPiece, i, n, len(part))
	case i == 0:
		*j = joiner{record: make([]byte, 0, min((n-1)*pieceSize+len(part), firstRoom)), total: n, sum: sum}
	case i != j.next || n != j.total || sum != j.sum:
		*j = joiner{}
		return nil, nil
	}
	j.record = append(j.record, part...)
	j.next++
	if j.next < j.total {
		return nil, nil
	}
	record := j.record
	*j = joiner{}
	return record, nil
}
