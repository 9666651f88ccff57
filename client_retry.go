package scanedge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The pauses between attempts: twice as long each time, less up to a half at random, so that a fleet of clients does not
// come back all at once.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Retry says how long a call that is safe to repeat goes on while the server is away: it can't be reached, the connection
// breaks, or it answers 429, 502, 503, 504 or 507. The zero value gives up at once, as does any other error.
type Retry struct {
	For time.Duration // from the first failure on; the last attempt begins then. The context's end comes before it

	// Waiting, if set, is told of each failure and the pause before the next attempt, in the goroutine of the call.
	Waiting func(err error, pause time.Duration)
}

// keepOn calls attempt until it succeeds or fails for good. A pause is at least what the server asks for in Retry-After; if
// that is longer than what is left, it gives up.
func (r Retry) keepOn(ctx context.Context, attempt func() error) error {
	var end time.Time
	for backoff := firstPause; ; backoff = min(2*backoff, longestPause) {
		err := attempt()
		away := (*awayError)(nil)
		if err == nil || !errors.As(err, &away) {
			return err
		}
		if end.IsZero() {
			end = time.Now().Add(r.For)
		}
		left := time.Until(end)
		if left <= 0 || away.after > left {
			return err
		}
		pause := min(away.after+backoff/2+rand.N(backoff/2), left)
		if r.Waiting != nil {
			r.Waiting(err, pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w (%w while waiting to try again)", err, ctx.Err())
		}
	}
}

// awayError marks an error after which the same call may well succeed.
type awayError struct {
	error
	after time.Duration // what the server asks to be left alone for
}

func (a *awayError) Unwrap() error { return a.error }

// lost marks the failure of a connection, unless it will fail the same way again or it is the caller who had enough.
func lost(ctx context.Context, err error) error {
	dns, cert := (*net.DNSError)(nil), (*tls.CertificateVerificationError)(nil)
	lasting := errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &cert) || errors.Is(err, http.ErrSchemeMismatch)
	if lasting || ctx.Err() != nil {
		return err
	}
	return &awayError{error: err}
}

// unavailable marks a refusal that passes: of a server that can't now, of a proxy that does not reach it, or of a body that
// got lost on its way.
func unavailable(resp *http.Response, refusal error) error {
	p := (*Problem)(nil)
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInsufficientStorage:
	default:
		if !errors.As(refusal, &p) || p.Type != BodyCut {
			return refusal
		}
	}
	return &awayError{refusal, retryAfter(resp.Header.Get("Retry-After"))}
}

// retryAfter reads seconds or a date; what is neither asks for nothing.
func retryAfter(value string) time.Duration {
	const day = 24 * 60 * 60
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(max(0, min(seconds, day))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
