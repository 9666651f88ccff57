package origin

import (
	"log/slog"
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

// by is who did what a line of the log says. The name is for readers; the id tells a token from a later one of that name.
func (c caller) by() slog.Attr {
	return slog.Group("", slog.String("by", c.name), slog.String("by_id", c.id))
}

// operator is who brings a request's admin token. It is asked before what is ordered is done, which may be that token's own end.
func (o *Origin) operator(req *http.Request) caller {
	if b, ok := o.access.Check(access.Admin, bearer(req)); ok {
		return callerOf(b)
	}
	return caller{}
}

// approver returns who asks about pushes that an issuer holds: an operator, or who may push to it.
func (o *Origin) approver(req *http.Request) (caller, *scanedge.Problem) {
	if by := o.operator(req); by.id != "" {
		return by, nil
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
