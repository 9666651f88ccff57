package deltalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bounds returns the sequences of the first message that the log still holds and of the last that it ever did, and the bytes of
// all that it holds. A log that holds nothing has first = last + 1; one that was deleted is ErrGone.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, bytes uint64, err error) {
	s, err := l.conn.js.Stream(ctx, l.stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = errors.Join(ErrGone, err)
	}
	if err != nil {
		return 0, 0, 0, fmt.Errorf("ask the log of %s for its bounds: %w", l.issuer, err)
	}
	state := s.CachedInfo().State
	if state.Msgs == 0 {
		state.FirstSeq = state.LastSeq + 1
	}
	return state.FirstSeq, state.LastSeq, state.Bytes, nil
}

// Last returns the sequence of the last message ever stored, 0 if none was.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	_, last, _, err := l.Bounds(ctx)
	return last, err
}

// Trim forgets every message up to the sequence upTo, the offset of a record, and gives their space on disk back, but for the
// file of some 8 MB in which the first that is kept lies. It succeeds if they are gone already; upTo past the end is ErrRewound.
// The log's last sequence stays what it was, though nothing be left. Appends may go on meanwhile, from another goroutine.
func (l *Log) Trim(ctx context.Context, upTo uint64) error {
	err := l.trim(ctx, upTo)
	if err != nil {
		return fmt.Errorf("trim the log of %s up to %d: %w", l.issuer, upTo, full(err))
	}
	return nil
}

// The server stores nothing while it purges, some half a second for a gigabyte, and beats are due. So it is asked for a little
// at a time, more when that was quick. But it writes the file anew in which each purge ends, after it has removed those before:
// where there is no room for that, it has to be one.
const (
	trimLeast = 64
	trimMost  = 4096
	trimPause = 100 * time.Millisecond
	trimRoom  = 16 << 20 // bytes
)

// trim looks at the bounds first: to purge past the end would move the end.
func (l *Log) trim(ctx context.Context, upTo uint64) error {
	s, err := l.conn.js.Stream(ctx, l.stream())
	if err != nil {
		return err
	}
	state := s.CachedInfo().State
	if upTo > state.LastSeq {
		return fmt.Errorf("%w (it ends at %d)", ErrRewound, state.LastSeq)
	}
	step, most := uint64(trimLeast), uint64(trimMost)
	if !l.hasRoom(trimRoom) {
		step, most = upTo, upTo
	}
	for next := state.FirstSeq; next <= upTo; {
		began := time.Now()
		next = min(next+step, upTo+1)
		if err := s.Purge(ctx, jetstream.WithPurgeSequence(next)); err != nil {
			return err
		}
		if time.Since(began) > trimPause {
			step = max(step/2, trimLeast)
		} else {
			step = min(step*2, most)
		}
	}
	return nil
}

// Begin makes a log that never held a message begin at the sequence first, as one does that takes the place of a log that is lost. On
// any other log it does nothing.
func (l *Log) Begin(ctx context.Context, first uint64) error {
	s, err := l.conn.js.Stream(ctx, l.stream())
	if err == nil && s.CachedInfo().State.LastSeq == 0 {
		err = s.Purge(ctx, jetstream.WithPurgeSequence(first)) // past the end, which it moves
	}
	if err != nil {
		return fmt.Errorf("begin the log of %s at %d: %w", l.issuer, first, full(err))
	}
	return nil
}
