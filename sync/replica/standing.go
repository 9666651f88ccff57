package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/scanedge/scanedge"
)

// ErrNotEnrolled is the error of an origin that takes this edge for none of its own. No other than the origin can say so: the clients
// speak to nobody else.
var ErrNotEnrolled = errors.New("the origin does not let this edge in: it was revoked or replaced, or its certificate has ended")

// notEnrolled is what people are told of it.
const notEnrolled = "the origin says that this edge is not enrolled (any more); to bring it back, make a token there with " +
	"scanedge edge enrol NAME, and start it here with scanedge edge --join TOKEN"

// standing is whether the origin takes this edge for one of its own. Once it does not, the stream of control alone asks whether it does
// again; all others wait for that.
type standing struct {
	logger *slog.Logger

	mu    sync.Mutex
	again chan struct{} // closed when the origin lets the edge in again; nil: it does
}

// refused notes that the origin does not let this edge in.
func (s *standing) refused(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again == nil {
		s.again = make(chan struct{})
		s.logger.Error(notEnrolled, "err", err)
	}
}

// accepted notes that it does.
func (s *standing) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again != nil {
		close(s.again)
		s.again = nil
		s.logger.Info("the origin lets this edge in again")
	}
}

// out returns a channel that is closed when the edge is let in again, nil if it is.
func (s *standing) out() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again
}

// wait waits for the origin to let this edge in again. It reports whether it had to: a pause is of no use then.
func (s *standing) wait(ctx context.Context) bool {
	again := s.out()
	if again == nil {
		return false
	}
	select {
	case <-again:
	case <-ctx.Done():
	}
	return true
}

// refusal is the error of an answer that is not what was asked for.
func (o *origin) refusal(res *http.Response, answer []byte) error {
	err := fmt.Errorf("it answers %s: %.300s", res.Status, answer)
	if problemIn(answer) != scanedge.NotEnrolled {
		return err
	}
	err = fmt.Errorf("%w: %w", ErrNotEnrolled, err)
	o.standing.refused(err)
	return err
}

// Refused says why the origin does not let this edge in, and what to do; "" if it does, or was not reached yet. What the edge holds it
// does not let go.
func (k *Keeper) Refused() string {
	if k.origin.standing.out() == nil {
		return ""
	}
	return notEnrolled
}
