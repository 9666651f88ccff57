package origin

import (
	"net/http"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
)

// caller is who asks, by a token.
type caller struct {
	id   string // of the token: what tells it from others, whatever their names, and stays when it is rotated
	name string
}

func callerOf(b *access.Bearer) caller { return caller{b.ID, b.Name()} }

// approver returns who asks about pushes that an issuer holds: an operator, or who may push to it.
func (o *Origin) approver(req *http.Request) (caller, *scanedge.Problem) {
	if b, ok := o.access.Check(access.Admin, bearer(req)); ok {
		return callerOf(b), nil
	}
	b, problem := o.pusher(req)
	if problem != nil {
		if problem.Type == scanedge.NoToken {
			problem.Detail = "send the admin token or a push token as Authorization: Bearer …"
		}
		return caller{}, problem
	}
	return callerOf(b), nil
}
