package deltalog

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Append stores record if the log's last sequence is still after, and returns once it is on disk. Its offset is then
// after + Pieces(len(record)). On any error the record may have been stored all the same: read the tail before the next.
func (l *Log) Append(ctx context.Context, after uint64, record []byte) error {
	err := l.append(ctx, after, cut(record))
	if err != nil {
		return fmt.Errorf("append to the log of %s after %d: %w", l.issuer, after, err)
	}
	return nil
}

// AppendBeat is Append for a beat: a record of one message, which the log forgets after BeatTTL.
func (l *Log) AppendBeat(ctx context.Context, after uint64, record []byte) error {
	_, err := l.conn.js.PublishMsg(ctx, &nats.Msg{Subject: l.subject("beat"), Data: cut(record)[0]},
		jetstream.WithExpectLastSequence(after), jetstream.WithMsgTTL(BeatTTL), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("append a beat to the log of %s after %d: %w", l.issuer, after, err)
	}
	return nil
}

func (l *Log) append(ctx context.Context, after uint64, pieces [][]byte) error {
	subject := l.subject("batch")
	if len(pieces) > maxPieces {
		return fmt.Errorf("a record of %d pieces; at most %d", len(pieces), maxPieces)
	}
	if len(pieces) == 1 {
		ack, err := l.conn.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: pieces[0]},
			jetstream.WithExpectLastSequence(after), jetstream.WithRetryAttempts(0))
		return checkAck(ack, err, after+1)
	}
	batch, err := jetstreamext.NewBatchPublisher(l.conn.js)
	if err != nil {
		return err
	}
	defer func() { _ = batch.Discard() }() // does nothing after a commit
	if err := batch.Add(subject, pieces[0], jetstreamext.WithBatchExpectLastSequence(after)); err != nil {
		return err
	}
	last := len(pieces) - 1
	for _, p := range pieces[1:last] {
		if err := batch.Add(subject, p); err != nil {
			return err
		}
	}
	ack, err := batch.Commit(ctx, subject, pieces[last])
	if err != nil {
		return err
	}
	return checkAck(&jetstream.PubAck{Sequence: ack.Sequence}, nil, after+uint64(len(pieces)))
}

// checkAck holds the server to the sequence that the record names as its own offset.
func checkAck(ack *jetstream.PubAck, err error, want uint64) error {
	if err == nil && ack.Sequence != want {
		err = fmt.Errorf("stored at %d, not at %d", ack.Sequence, want)
	}
	return err
}
