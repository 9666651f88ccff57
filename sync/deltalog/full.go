package deltalog

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrFull is the error of an append for which the log's disk, or what the server may use of it, has no room. Once a write of the
// embedded server met a full disk, it takes nothing more until Reopen; what it acknowledged is safe.
var ErrFull = errors.New("the log's disk is full: make room for it")

// What a server answers when it may not or can't store more.
var fullCodes = map[jetstream.ErrorCode]bool{
	10002: true, // account resources exceeded
	10023: true, // insufficient resources
	10047: true, // storage resources exceeded
}

// guard runs an append until it is done or the disk of the embedded server is full: then no answer would come.
func (l *Log) guard(ctx context.Context, run func(context.Context) error) error {
	if l.conn.server == nil {
		return full(run(ctx))
	}
	roomy := l.conn.server.run.Load().roomy
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(roomy, func() { cancel(ErrFull) })()
	err := run(ctx)
	if err != nil && roomy.Err() != nil {
		return ErrFull
	}
	return full(err)
}

// hasRoom reports whether so many bytes fit the disk of the embedded server, or the server is elsewhere.
func (l *Log) hasRoom(bytes int64) bool {
	if l.conn.server == nil {
		return true
	}
	room, _, err := l.conn.server.Room()
	return err != nil || room >= bytes
}

// full is err, and ErrFull too if a server said so.
func full(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (fullCodes[api.ErrorCode] || saysFull(api.Description)) {
		return errors.Join(ErrFull, err)
	}
	return err
}

// saysFull reports whether a server's words speak of a lack of space.
func saysFull(words string) bool {
	for _, w := range []string{syscall.ENOSPC.Error(), syscall.EDQUOT.Error(), "maximum bytes exceeded"} {
		if strings.Contains(words, w) {
			return true
		}
	}
	return false
}
