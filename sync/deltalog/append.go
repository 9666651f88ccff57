package deltalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// MaxGroup is how many messages a group may take: the sum of the Pieces of its records. It is what a server takes in one
	// atomic batch.
	MaxGroup = 1000

	// inFlight is how many pieces of a record are on their way to the disk at a time: enough to keep it busy, and far less
	// than the 128 MB past which a server drops what it is sent.
	inFlight = 16

	// groupRoom is what a group may take on disk beside its records, which are written twice, in bytes. A disk that is full in
	// the middle of the second time keeps the front of a group.
	groupRoom = 2 << 20
)

// Append stores record if the log's last sequence is still after, and returns once it is on disk. It is AppendGroup of one.
func (l *Log) Append(ctx context.Context, after uint64, record []byte) error {
	return l.AppendGroup(ctx, after, [][]byte{record})
}

// AppendGroup stores records, all or none, if the log's last sequence is still after, and returns once they are on disk. The
// offset of records[i] is then after + the sum of Pieces(len(r)) for each r of records[:i+1]. They may take MaxGroup messages
// and MaxRecord bytes in all.
//
// On any error they may have been stored all the same, and the log's last sequence may have moved even if they were not: read
// the tail before the next. ErrFull is an error that goes on until there is room.
//
// A record alone costs one fsync for each of its pieces. A group costs six, whatever its size, and is written twice: one of fewer
// than ten or so small records is slower than they are one by one.
func (l *Log) AppendGroup(ctx context.Context, after uint64, records [][]byte) error {
	err := l.guard(ctx, func(ctx context.Context) error {
		size, err := checkGroup(records)
		if err != nil {
			return err
		}
		if len(records) == 1 {
			return l.appendOne(ctx, "batch", after, records[0])
		}
		if !l.hasRoom(int64(2*size) + groupRoom) {
			return ErrFull
		}
		return l.appendBatch(ctx, after, records)
	})
	if err != nil {
		return fmt.Errorf("append to the log of %s after %d: %w", l.issuer, after, err)
	}
	return nil
}

// AppendBeat is Append for a beat: a record of one message, which the log forgets after BeatTTL.
func (l *Log) AppendBeat(ctx context.Context, after uint64, record []byte) error {
	err := l.guard(ctx, func(ctx context.Context) error {
		if Pieces(len(record)) != 1 {
			return fmt.Errorf("%d bytes; at most %d", len(record), pieceSize)
		}
		return l.appendOne(ctx, "beat", after, record, jetstream.WithMsgTTL(BeatTTL))
	})
	if err != nil {
		return fmt.Errorf("append a beat to the log of %s after %d: %w", l.issuer, after, err)
	}
	return nil
}

// checkGroup returns the bytes of the records of a group, or why they can't be one.
func checkGroup(records [][]byte) (size int, err error) {
	pieces := 0
	for _, r := range records {
		pieces += int(Pieces(len(r)))
		size += len(r)
	}
	switch {
	case len(records) == 0:
		return 0, errors.New("a group of no records")
	case size > MaxRecord:
		return 0, fmt.Errorf("%d bytes; at most %d", size, MaxRecord)
	case pieces > MaxGroup:
		return 0, fmt.Errorf("a group of %d messages; at most %d", pieces, MaxGroup)
	}
	return size, nil
}

// appendOne sends the pieces of a record one after the other, several on their way at a time: an atomic batch would be written
// twice. Each names the sequence that it expects, and readers pass over a front without its end. The first goes alone, so
// that a writer who is not up to date stores nothing at all.
func (l *Log) appendOne(ctx context.Context, kind string, after uint64, record []byte, opts ...jetstream.PublishOpt) error {
	acks := make([]jetstream.PubAckFuture, 0, Pieces(len(record)))
	acked := 0
	awaitNext := func() error {
		acked++
		return await(ctx, acks[acked-1], after+uint64(acked))
	}
	for i, piece := range piecesOf(record) {
		if i == 1 || i-acked == inFlight {
			if err := awaitNext(); err != nil {
				return err
			}
		}
		ack, err := l.send(kind, after+uint64(i), piece, opts)
		if err != nil {
			return err
		}
		acks = append(acks, ack)
	}
	for acked < len(acks) {
		if err := awaitNext(); err != nil {
			return err
		}
	}
	return nil
}

// send publishes a piece that is to be stored right after a sequence.
func (l *Log) send(kind string, after uint64, piece []byte, opts []jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return l.conn.js.PublishMsgAsync(&nats.Msg{Subject: l.subject(kind), Data: piece},
		append(slices.Clip(opts), jetstream.WithExpectLastSequence(after), jetstream.WithRetryAttempts(0))...)
}

// await waits until a piece is on disk, and holds the server to the sequence that the record names as its own offset.
func await(ctx context.Context, ack jetstream.PubAckFuture, want uint64) error {
	select {
	case a := <-ack.Ok():
		return checkSeq(a.Sequence, want)
	case err := <-ack.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func checkSeq(got, want uint64) error {
	if got != want {
		return fmt.Errorf("stored at %d, not at %d", got, want)
	}
	return nil
}

// appendBatch stores records as one atomic batch.
func (l *Log) appendBatch(ctx context.Context, after uint64, records [][]byte) error {
	batch, err := jetstreamext.NewBatchPublisher(l.conn.js, jetstreamext.BatchFlowControl{}) // to ask after the first is a round trip more
	if err != nil {
		return err
	}
	defer func() { _ = batch.Discard() }() // does nothing after a commit
	subject, opts := l.subject("batch"), []jetstreamext.BatchMsgOpt{jetstreamext.WithBatchExpectLastSequence(after)}
	var held []byte
	for _, r := range records {
		for _, piece := range piecesOf(r) {
			if held != nil {
				if err := batch.Add(subject, held, opts...); err != nil {
					return err
				}
				opts = nil
			}
			held = piece
		}
	}
	want := after + uint64(batch.Size()) + 1
	ack, err := batch.Commit(ctx, subject, held)
	if err != nil {
		return err
	}
	return checkSeq(ack.Sequence, want)
}
