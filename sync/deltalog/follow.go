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
	CaughtUp bool   // all that the log held when Follow began has been delivered, this one included
}

// Errors of Follow that a caller may want to tell apart.
var (
	ErrSilent  = errors.New("the log has fallen silent")
	ErrRewound = errors.New("the log ends before the place to follow from: it was made anew, or restored from an older copy")
)

// Follow calls each for every record after the sequence `after`, in order and once, until ctx ends, each returns an error, or
// the log can't be followed; it always returns an error. Call it again to go on.
func (l *Log) Follow(ctx context.Context, after uint64, each func(Entry) error) error {
	_, err := l.read(ctx, after, false, each)
	if err == nil || ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("follow the log of %s after %d: %w", l.issuer, after, err)
}

// Replay calls each for every record after the sequence `after` that the log holds now, and returns the log's last sequence.
func (l *Log) Replay(ctx context.Context, after uint64, each func(Entry) error) (last uint64, err error) {
	if last, err = l.read(ctx, after, true, each); err != nil {
		return 0, fmt.Errorf("replay the log of %s after %d: %w", l.issuer, after, err)
	}
	return last, nil
}

func (l *Log) read(ctx context.Context, after uint64, untilEnd bool, each func(Entry) error) (last uint64, err error) {
	if last, err = l.Last(ctx); err != nil {
		return 0, err
	}
	if after > last {
		return 0, fmt.Errorf("%w (it ends at %d)", ErrRewound, last)
	}
	cons, err := l.conn.js.OrderedConsumer(ctx, l.stream(), jetstream.OrderedConsumerConfig{
		DeliverPolicy:    jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:      after + 1,
		MaxResetAttempts: 1, // the caller's retries are quicker than the library's
	})
	if err != nil {
		return 0, err
	}
	// Where messages have expired, sequences say little: what is to come is counted.
	pending := cons.CachedInfo().NumPending
	if untilEnd && pending == 0 {
		return last, nil
	}
	iter, err := cons.Messages(jetstream.PullHeartbeat(time.Second),
		jetstream.PullMaxMessagesWithBytesLimit(aheadMessages, aheadBytes))
	if err != nil {
		return 0, err
	}
	defer iter.Stop()
	defer context.AfterFunc(ctx, iter.Stop)()

	var join joiner
	for n := uint64(1); ; n++ {
		msg, err := iter.Next(jetstream.NextMaxWait(silence))
		if errors.Is(err, nats.ErrTimeout) {
			return 0, ErrSilent
		}
		if err != nil {
			return 0, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return 0, err
		}
		record, err := join.add(msg.Data())
		if err != nil {
			return 0, fmt.Errorf("message %d: %w", meta.Sequence.Stream, err)
		}
		if record != nil {
			if err := each(Entry{meta.Sequence.Stream, record, n >= pending}); err != nil {
				return 0, err
			}
		}
		if untilEnd && n >= pending {
			return last, nil
		}
	}
}
