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

// fits refuses a push, or its preview, of more deltas than its token may ever push at once.
func fits(b *access.Bearer, n int) *scanedge.Problem {
	if most := b.Largest(delta.DefaultLimits.Deltas); n > most {
		return scanedge.NewProblem(scanedge.TooManyDeltas, fmt.Sprintf("this token may push %d deltas at once, these are %d; split the push", most, n))
	}
	return nil
}

// charge counts n deltas that are about to be applied, whatever becomes of them, and refuses what is more than their token's rate.
func charge(rw http.ResponseWriter, b *access.Bearer, n int) *scanedge.Problem {
	return tooFast(rw, b, b.Take(n, b.Largest(delta.DefaultLimits.Deltas)))
}

// chargeChanges is charge for what a replacement changes, which can't be split. More than the bucket ever holds is refused for good.
func chargeChanges(rw http.ResponseWriter, b *access.Bearer, n int) *scanedge.Problem {
	if b.Rate == 0 && b.MaxDeltas == 0 {
		return nil
	}
	if most := b.Largest(delta.DefaultLimits.Deltas); n > most {
		return scanedge.NewProblem(scanedge.TooManyDeltas, fmt.Sprintf("the replacement changes %d subjects, and this token never may more than %d "+
			"at once, however long it waits; use a token without a limit", n, most))
	}
	return charge(rw, b, n)
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
