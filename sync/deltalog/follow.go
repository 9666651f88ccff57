package deltalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// silence is how long the log may say nothing, though a beat is due each second, before Follow gives it up.
	silence = 5 * time.Second
	// What the server sends ahead: so many messages in all, and at most so many bytes at a time. Fewer cost throughput over
	// distance; a bound on bytes alone would make the client set aside 16 MB for the list of messages.
	aheadMessages = 256
	aheadBytes    = 8 << 20
)

// Entry is a record as it lies in the log.
type Entry struct {
	Seq      uint64 // sequence of the record's last message
	Record   []byte // the receiver's to keep
	CaughtUp bool   // every batch that the log held when Follow began has been delivered, this one included
}

// Errors of Follow that a caller may want to tell apart.
var (
	ErrSilent  = errors.New("the log has fallen silent")
	ErrRewound = errors.New("the log ends before the place to follow from: it was made anew, or restored from an older copy")
)

// Follow calls each for every record after the sequence `after`, in order and once, until ctx ends, each returns an error, or
// the log can't be followed; it always returns an error. Call it again to go on.
func (l *Log) Follow(ctx context.Context, after uint64, each func(Entry) error) error {
	last, err := l.Last(ctx)
	if err == nil {
		err = l.read(ctx, after, last, func(e Entry) (bool, error) {
			e.CaughtUp = e.Seq >= last
			return false, each(e)
		})
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("follow the log of %s after %d: %w", l.issuer, after, err)
}

// Replay calls each for every record after the sequence `after` up to the last batch that the log holds now, and returns the
// log's last sequence. It is the writer's: an edge may not ask for a single message.
func (l *Log) Replay(ctx context.Context, after uint64, each func(Entry) error) (last uint64, err error) {
	last, err = l.Last(ctx)
	if err == nil {
		err = l.replay(ctx, after, last, each)
	}
	if err != nil {
		return 0, fmt.Errorf("replay the log of %s after %d: %w", l.issuer, after, err)
	}
	return last, nil
}

// replay ends at the last batch, which never goes away. To count what is still to come would be to wait for beats that have
// expired meanwhile.
func (l *Log) replay(ctx context.Context, after, last uint64, each func(Entry) error) error {
	stream, err := l.conn.js.Stream(ctx, l.stream())
	if err != nil {
		return err
	}
	end, err := stream.GetLastMsgForSubject(ctx, l.subject("batch"))
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && end.Sequence <= after {
		return nil
	}
	if err != nil {
		return err
	}
	return l.read(ctx, after, last, func(e Entry) (bool, error) {
		e.CaughtUp = e.Seq >= end.Sequence
		return e.CaughtUp, each(e)
	})
}

// read delivers the records after a sequence until each says that it is done, or fails. The log ends at last.
func (l *Log) read(ctx context.Context, after, last uint64, each func(Entry) (done bool, err error)) error {
	if after > last {
		return fmt.Errorf("%w (it ends at %d)", ErrRewound, last)
	}
	cons, err := l.conn.js.OrderedConsumer(ctx, l.stream(), jetstream.OrderedConsumerConfig{
		DeliverPolicy:    jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:      after + 1,
		MaxResetAttempts: 1, // the caller's retries are quicker than the library's
	})
	if err != nil {
		return err
	}
	iter, err := cons.Messages(jetstream.PullHeartbeat(time.Second),
		jetstream.PullMaxMessagesWithBytesLimit(aheadMessages, aheadBytes))
	if err != nil {
		return err
	}
	defer iter.Stop()
	defer context.AfterFunc(ctx, iter.Stop)()

	var join joiner
	for {
		msg, err := iter.Next(jetstream.NextMaxWait(silence))
		if errors.Is(err, nats.ErrTimeout) {
			return ErrSilent
		}
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		record, err := join.add(msg.Data())
		if err != nil {
			return fmt.Errorf("message %d: %w", meta.Sequence.Stream, err)
		}
		if record == nil {
			continue
		}
		if done, err := each(Entry{Seq: meta.Sequence.Stream, Record: record}); done || err != nil {
			return err
		}
	}
}
