package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/scanedge/scanedge/sync/issuer"
)

// silence is how long a log may say nothing, though a beat is due each second, before it is asked anew: that the origin, or the way to
// it, is gone shows by nothing else as a rule.
const silence = 5 * time.Second

// Errors of a log that is not followed any further.
var (
	ErrSilent  = errors.New("the log has fallen silent")
	ErrRewound = errors.New("the log ends before the place to follow from: it was made anew, or restored from an older copy")
)

// errEnded is the error of a stream that the origin ended in good order.
var errEnded = errors.New("the origin has ended the stream")

// entry is a record as it came from the log.
type entry struct {
	Seq      uint64 // where it says that it stands
	Record   []byte // the receiver's to keep
	CaughtUp bool   // every batch that the log held when it was asked has come, this one included
}

// follow asks for an issuer's records after a sequence and calls each for every one that comes, until ctx ends, each returns an error,
// or nothing came for too long; it always returns an error. began is called first, with the log's last sequence: the origin looked
// it up after it was asked.
func (o *origin) follow(ctx context.Context, issuerID string, after uint64, began func(last uint64), each func(entry) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	quiet := time.AfterFunc(silence, func() { end(ErrSilent) })
	defer quiet.Stop()
	var taken error
	err := o.read(ctx, fmt.Sprintf("/v1/issuers/%s/log?after=%d", issuerID, after), began, func(e entry) error {
		quiet.Stop() // it may take its time
		defer quiet.Reset(silence)
		taken = each(e)
		return taken
	}, func() { quiet.Reset(silence) })
	if taken == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, ErrSilent) {
		o.client.CloseIdleConnections() // they may lead nowhere either
	}
	return fmt.Errorf("follow the log of %s after %d at %s: %w", issuerID, after, o.url, err)
}

// read reads one answer of the log; heard is called when anything of it has come.
func (o *origin) read(ctx context.Context, path string, began func(last uint64), each func(entry) error, heard func()) error {
	res, err := o.stream(ctx, path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	last, err := strconv.ParseUint(res.Header.Get("Scanedge-Log-Last"), 10, 64)
	if err != nil {
		return fmt.Errorf("its answer does not say where the log ends: %w", err)
	}
	began(last)
	in := bufio.NewReaderSize(&hearing{res.Body, heard}, 16<<10)
	for {
		record, err := issuer.ReadFrame(in)
		if err == io.EOF {
			return errEnded
		}
		if err != nil {
			return err
		}
		seq := issuer.OffsetOf(record)
		if err := each(entry{Seq: seq, Record: record, CaughtUp: seq >= last}); err != nil {
			return err
		}
	}
}

// hearing is a reader that says when it has read anything.
type hearing struct {
	io.Reader
	heard func()
}

func (h *hearing) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.heard()
	}
	return n, err
}
