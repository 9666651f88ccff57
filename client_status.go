package scanedge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// reachedWait is how long the origin is asked to wait at a time; it waits for no longer than a minute.
const reachedWait = 30 * time.Second

// Status asks for the state of the fleet. It needs an admin token.
func (o *Origin) Status(ctx context.Context) (s FleetStatus, err error) {
	c := call{what: "ask for the fleet's status", method: http.MethodGet, path: "/v1/status", accept: "application/json", again: true,
		cap: maxBatchAnswer}
	body, err := o.server.do(ctx, c)
	if err != nil {
		return FleetStatus{}, err
	}
	if err := json.Unmarshal(body, &s); err != nil || s.State == "" {
		return FleetStatus{}, o.server.failed(c, stranger("200 OK", body))
	}
	return s, nil
}

// Reached waits until the edges show what was pushed to an issuer up to an offset, such as that of a [Receipt], or until ctx ends: the
// named edges, or all that hold the issuer and have joined. It needs the issuer's push token or an admin token. When it returns without
// an error all of them do, those that were revoked meanwhile aside; an error of type [NotReached] under ctx's names the ones missing. An
// offset that the issuer's log does not have yet is refused ([OffsetAhead]).
func (o *Origin) Reached(ctx context.Context, issuer string, offset uint64, edges ...string) (Reached, error) {
	c := call{what: "wait for the edges of " + issuer, method: http.MethodGet, accept: "application/json", again: true, cap: maxAnswer}
	if issuer == "" {
		return Reached{}, o.server.failed(c, errors.New("no issuer is named"))
	}
	var missing error
	for {
		c.path = reachedPath(ctx, issuer, offset, edges)
		body, err := o.server.do(ctx, c)
		var p *Problem
		switch {
		case err == nil:
			return reachedIn(o, c, body)
		case errors.As(err, &p) && p.Type == NotReached:
			missing = err
		case ctx.Err() == nil || missing == nil:
			return Reached{}, err
		}
		if ctx.Err() != nil {
			return Reached{}, errors.Join(ctx.Err(), missing)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < reachedGrace {
			return Reached{}, errors.Join(context.DeadlineExceeded, missing)
		}
	}
}

// reachedGrace is what is left of a context's time for the answer to come, which says who is missing.
const reachedGrace = 100 * time.Millisecond

func reachedPath(ctx context.Context, issuer string, offset uint64, edges []string) string {
	wait := reachedWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, min(wait, time.Until(deadline)-reachedGrace))
	}
	who := "all"
	if len(edges) > 0 {
		who = strings.Join(edges, ",")
	}
	query := url.Values{"wait": {wait.String()}, "edges": {who}}
	return issuerPath(issuer) + "/offsets/" + strconv.FormatUint(offset, 10) + "?" + query.Encode()
}

func reachedIn(o *Origin, c call, body []byte) (r Reached, err error) {
	if err := json.Unmarshal(body, &r); err != nil || r.Offset == 0 && r.Issuer == "" {
		return Reached{}, o.server.failed(c, stranger("200 OK", body))
	}
	return r, nil
}
