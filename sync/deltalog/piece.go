package deltalog

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A message is a piece of a record:
//
//	offset  size
//	     0     1  version, 1
//	     1     1  reserved, 0
//	     2     2  number of this piece, from 0, little-endian
//	     4     2  pieces of the record in all, little-endian
//	     6     …  up to pieceSize bytes of the record
const (
	pieceVersion = 1
	pieceHead    = 6
	pieceSize    = 128 << 10
	maxPieces    = 1000 // what a server takes in one atomic batch
)

// MaxRecord is the size of the largest record, in bytes.
const MaxRecord = maxPieces * pieceSize

// Pieces returns in how many messages a record of size bytes is stored: what it adds to the log's last sequence.
func Pieces(size int) uint64 { return uint64(max(1, (size+pieceSize-1)/pieceSize)) }

// cut returns the messages that carry record.
func cut(record []byte) [][]byte {
	n := int(Pieces(len(record)))
	out := make([][]byte, n)
	for i := range n {
		part := record[i*pieceSize : min(len(record), (i+1)*pieceSize)]
		b := make([]byte, pieceHead, pieceHead+len(part))
		b[0] = pieceVersion
		binary.LittleEndian.PutUint16(b[2:], uint16(i))
		binary.LittleEndian.PutUint16(b[4:], uint16(n))
		out[i] = append(b, part...)
	}
	return out
}

// joiner puts records together again. The front of a batch may be seen though its commit never comes, and other pieces then
// follow: a first piece always begins anew.
type joiner struct {
	record []byte
	next   int
	total  int
}

var errPiece = errors.New("not a piece of a record")

// add takes the next message and returns the record that it completes, or nil. The record is the caller's.
func (j *joiner) add(msg []byte) ([]byte, error) {
	if len(msg) < pieceHead {
		return nil, fmt.Errorf("%w: %d bytes", errPiece, len(msg))
	}
	if msg[0] != pieceVersion {
		return nil, fmt.Errorf("%w that this scanedge knows: version %d, not %d", errPiece, msg[0], pieceVersion)
	}
	i, n := int(binary.LittleEndian.Uint16(msg[2:])), int(binary.LittleEndian.Uint16(msg[4:]))
	part := msg[pieceHead:]
	switch {
	case n == 0 || n > maxPieces || i >= n || len(part) > pieceSize:
		return nil, fmt.Errorf("%w: number %d of %d, %d bytes", errPiece, i, n, len(part))
	case i == 0:
		*j = joiner{record: make([]byte, 0, min((n-1)*pieceSize+len(part), 32*pieceSize)), total: n}
	case i != j.next || n != j.total:
		return nil, fmt.Errorf("%w: number %d of %d where %d of %d was due", errPiece, i, n, j.next, j.total)
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
