package deltalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience is how long a start waits for servers elsewhere, counted from the first time that they were not there: a server that came
// back knows its cluster's leaders within some seconds, and a cluster that lost its leader has another by then. Tests are quicker.
var patience = 45 * time.Second

// The pauses between two tries, each of them made up to a half longer by chance.
const (
	firstPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second
)

// Patiently calls try, which asks something of the log, until it succeeds, ctx ends, or it fails for another reason than that the
// log's servers elsewhere are on their way back, as after one of them was started or lost; for 45 s at most from its first failure.
// It says on the connection's logger what it waits for. A log in this process is there or not: of that try is called once.
//
// It is for a start. Later the log's writer, who has pushers waiting, is to answer instead.
func (l *Log) Patiently(ctx context.Context, try func() error) error {
	return l.conn.patiently(ctx, try)
}

func (c *Conn) patiently(ctx context.Context, try func() error) error {
	if c.server != nil {
		return try()
	}
	w := wait{logger: c.logger}
	for {
		err := try()
		switch {
		case !passing(err):
			return err
		case errors.Is(c.nc.LastError(), nats.ErrPermissionViolation): // the server does not answer what may not be asked
			return fmt.Errorf("%w: %w", err, c.nc.LastError())
		}
		if err := w.pause(ctx, err); err != nil {
			return err
		}
	}
}

// wait is a wait for servers elsewhere.
type wait struct {
	logger *slog.Logger
	began  time.Time     // when they were first not there
	next   time.Duration // after so much of it, it is spoken of again
	length time.Duration // of the next pause, but for chance
}

// pause waits before another try, after one that failed with err. It returns why there is to be none.
func (w *wait) pause(ctx context.Context, err error) error {
	if w.began.IsZero() {
		w.began, w.length = time.Now(), firstPause
	}
	waited := time.Since(w.began).Round(time.Millisecond)
	if waited >= patience {
		return fmt.Errorf("%w; that was so for %v: see that more than half of the log's NATS servers run and reach each other, then start again",
			err, waited)
	}
	if waited >= w.next {
		w.logger.Warn("the log's servers are not ready; waiting for them", "waited", waited, "at most", patience, "err", err)
		w.next = 2*waited + time.Second
	}
	select {
	case <-time.After(w.length + rand.N(w.length/2)):
		w.length = min(2*w.length, mostPause)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, while waiting: %w", ctx.Err(), err)
	}
}

// What a server says while it, or a cluster, is on its way back.
var passingErrors = []error{
	nats.ErrNoResponders, nats.ErrTimeout, nats.ErrDisconnected, nats.ErrConnectionReconnecting,
	context.DeadlineExceeded, // of one request: no leader answered it
	jetstream.ErrJetStreamNotEnabled, jetstream.ErrNoStreamResponse, jetstream.ErrAsyncPublishTimeout,
	jetstream.ErrNoHeartbeat, jetstream.ErrServerShutdown, jetstream.ErrConsumerLeadershipChanged, jetstream.ErrConsumerDeleted,
	jetstream.ErrConsumerNotFound,
	ErrSilent, errLost, errGap,
}

// The same, as its JetStream answers it. A log that is not there is none of them: it may have been deleted.
var passingCodes = map[jetstream.ErrorCode]bool{
	10004: true, // incomplete results
	10008: true, // temporarily unavailable: no leader
	10009: true, // can't handle the request: not the leader any more
	10118: true, // stream is offline: none of its servers is there
	10119: true, // consumer is offline
	10202: true, // a server is joining or leaving
}

// noPeers is the code of a log for which there are too few servers: those that are there, or all that there ever were.
const noPeers = 10005

func passing(err error) bool {
	for _, p := range passingErrors {
		if errors.Is(err, p) {
			return true
		}
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	return passingCodes[api.ErrorCode] || api.ErrorCode == noPeers && strings.Contains(api.Description, "peer offline")
}
