package deltalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// silence is how long the log's server may give nothing of what it holds before a reader gives it up.
	silence = 5 * time.Second
	// idle is how long a server keeps the place of a reader that asks for nothing more.
	idle = 30 * time.Second
	// What the server sends ahead: so many messages in all, and at most so many bytes at a time, of which one message takes up to
	// half. A bound on bytes alone would make the client set aside 16 MB for the list of messages.
	aheadMessages = 256
	aheadBytes    = 2 << 20
)

// Entry is a record as it lies in the log.
type Entry struct {
	Seq    uint64 // sequence of the record's last message
	Record []byte // the receiver's to keep
}

// Errors of Replay that a caller may want to tell apart.
var (
	ErrSilent  = errors.New("the log has fallen silent")
	ErrRewound = errors.New("the log ends before the place to follow from: it was made anew, or restored from an older copy")
	ErrGone    = errors.New("the log's server has no such log: it was deleted")
)

// What ends a reader's context.
var (
	errLost = errors.New("the connection to the log was lost")
	errGap  = errors.New("messages were lost on the way")
	errDone = errors.New("all was read")
)

// Replay calls each for every record but beats after the sequence `after` that the log holds now, in order and once, and returns the
// log's last sequence. It ends early when ctx ends, each returns an error, or the log's server gives nothing for 5 s: ErrSilent. It
// calls each from one goroutine at a time, and no more once it has returned.
//
// A log that was trimmed past `after` begins at the first record that it still holds, and one that was made anew and has grown past
// `after` goes on there: the chain of the records tells.
func (l *Log) Replay(ctx context.Context, after uint64, each func(Entry) error) (last uint64, err error) {
	err = l.reading(ctx, func(r *reader) error {
		if last, err = l.Last(r.ctx); err != nil {
			return err
		}
		return r.replay(after, last, func(e Entry) error {
			last = max(last, e.Seq) // it may have been stored since last was asked for
			return each(e)
		})
	})
	if err != nil {
		return 0, fmt.Errorf("replay the log of %s after %d: %w", l.issuer, after, err)
	}
	return last, nil
}

// replay ends at the last message of a batch, which never expires. To count what is still to come would be to wait for beats
// that have expired meanwhile.
func (r *reader) replay(after, last uint64, each func(Entry) error) error {
	if after > last {
		return fmt.Errorf("%w (it ends at %d)", ErrRewound, last)
	}
	stream, err := r.log.conn.js.Stream(r.ctx, r.log.stream())
	if err != nil {
		return err
	}
	end, err := stream.GetLastMsgForSubject(r.ctx, r.log.subject("batch"))
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && end.Sequence <= after {
		return nil
	}
	if err != nil {
		return err
	}
	err = r.read(after, func(seq uint64, record []byte) error {
		atEnd := seq >= end.Sequence
		if record != nil {
			if err := each(Entry{Seq: seq, Record: record}); err != nil {
				return err
			}
		}
		if atEnd {
			return errDone
		}
		return nil
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// reader reads a log once, from a place on. Its context ends when it is done or fails, when the log was silent for too long while
// it waited, or when the connection was lost: what it had asked of the server is then forgotten there.
type reader struct {
	log    *Log
	ctx    context.Context
	end    context.CancelCauseFunc
	silent *time.Timer

	mu   sync.Mutex // held while a message is taken: none is once ctx has ended and mu was free
	due  uint64     // what the consumer calls the next message
	join joiner
}

// reading runs read with a reader, and names what ended it.
func (l *Log) reading(ctx context.Context, read func(*reader) error) error {
	inner, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &reader{log: l, ctx: inner, end: end, silent: time.AfterFunc(silence, func() { end(ErrSilent) })}
	defer r.silent.Stop()

	status := l.conn.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer l.conn.nc.RemoveStatusListener(status)
	go func() {
		select {
		case <-status:
			end(errLost)
		case <-inner.Done():
		}
	}()

	err := read(r)
	if err != nil && errors.Is(err, inner.Err()) {
		return context.Cause(inner)
	}
	return err
}

// read calls each for the messages but beats after a sequence, with the record that each completes or nil, until it fails.
//
// The consumer is a plain one: the library's ordered consumer starts itself again behind whatever went wrong, for as long as it
// takes. Here the caller does that, who knows how far he came.
func (r *reader) read(after uint64, each func(seq uint64, record []byte) error) error {
	cons, err := r.log.conn.js.CreateConsumer(r.ctx, r.log.stream(), jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       after + 1,
		FilterSubject:     r.log.subject("batch"),
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: idle,
		Replicas:          1,
		MemoryStorage:     true,
	})
	if err != nil {
		return err
	}
	r.due = 1
	consuming, err := cons.Consume(func(msg jetstream.Msg) { r.take(msg, each) },
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { r.end(err) }),
		jetstream.PullHeartbeat(time.Second), jetstream.PullMaxMessagesWithBytesLimit(aheadMessages, aheadBytes))
	if err != nil {
		return err
	}
	defer consuming.Stop()
	<-r.ctx.Done()
	r.mu.Lock() // a message may be with each still
	defer r.mu.Unlock()
	return context.Cause(r.ctx)
}

// take gives a message to each, unless the reader has ended.
func (r *reader) take(msg jetstream.Msg, each func(seq uint64, record []byte) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	r.silent.Stop()
	if err := r.takeOne(msg, each); err != nil {
		r.end(err)
	}
	r.silent.Reset(silence)
}

func (r *reader) takeOne(msg jetstream.Msg, each func(seq uint64, record []byte) error) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	if meta.Sequence.Consumer != r.due {
		return errGap
	}
	r.due++
	record, err := r.join.add(msg.Data())
	if err != nil {
		return fmt.Errorf("message %d: %w", meta.Sequence.Stream, err)
	}
	return each(meta.Sequence.Stream, record)
}
