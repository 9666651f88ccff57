package origin

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/delta"
)

// pusher returns whose push token a request for an issuer brings. A token for others is not told whether there is this one.
func (o *Origin) pusher(req *http.Request) (*access.Bearer, *scanedge.Problem) {
	b, ok := o.access.Check(access.Push, bearer(req))
	switch {
	case !ok:
		return nil, scanedge.NewProblem(scanedge.NoToken, "send a push token as Authorization: Bearer …")
	case !b.May(req.PathValue("issuer")):
		return nil, scanedge.NewProblem(scanedge.NotYourIssuer, "ask the origin's operators for a token with that issuer")
	}
	return b, nil
}

// within counts n deltas of a push that was read, whatever becomes of it, and refuses what is more than its token may push at once or at
// that rate.
func within(rw http.ResponseWriter, b *access.Bearer, n int) *scanedge.Problem {
	most := b.Largest(max(n, delta.DefaultLimits.Deltas)) // a replacement may have more
	if n > most {
		return scanedge.NewProblem(scanedge.TooManyDeltas, fmt.Sprintf("this token may push %d deltas at once, these are %d; split the push", most, n))
	}
	return tooFast(rw, b, b.Take(n, most))
}

// spent refuses a push whose token could not push one delta now.
func spent(rw http.ResponseWriter, b *access.Bearer) *scanedge.Problem {
	return tooFast(rw, b, b.Wait(1, b.Largest(delta.DefaultLimits.Deltas)))
}

// tooFast refuses a push that has to wait.
func tooFast(rw http.ResponseWriter, b *access.Bearer, wait time.Duration) *scanedge.Problem {
	if wait <= 0 {
		return nil
	}
	seconds := int64((wait + time.Second - 1) / time.Second)
	rw.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	return scanedge.NewProblem(scanedge.TooFast,
		fmt.Sprintf("this token may push %v deltas a second; nothing was applied, push again in %d s", b.Rate, seconds))
}
