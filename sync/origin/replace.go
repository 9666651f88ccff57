package origin

import (
	"math"
	"net/http"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
)

// replaceRows is how many rows a replacement may have, or twice the subjects that there are, if that is more: it bounds the memory of
// the table that is made of them, to some 320 MB or twice the issuer's own.
const replaceRows = 20_000_000

// readTarget reads a body as a whole table. Of a subject that is there twice the last row counts, as in every push.
func (o *Origin) readTarget(rw http.ResponseWriter, req *http.Request, a asked) (then *target, problem *scanedge.Problem) {
	w := a.w
	limits := delta.Limits{Deltas: max(replaceRows, 2*w.table.Len()), Bytes: math.MaxInt64, Line: delta.DefaultLimits.Line}
	then = new(target)
	batch := make([]cache.Delta, 0, 1024)
	alone := &place{held: o.thinking} // its caller holds that, and others wait for it: the body has to come at leastRate
	then.rows, problem = readRows(w, steady(rw, req, alone), req.Header, limits, func() error { return nil }, func(d cache.Delta, _ int64) {
		if batch = append(batch, d); len(batch) == cap(batch) {
			then.table.PutMany(batch)
			batch = batch[:0]
		}
	})
	then.table.PutMany(batch)
	if problem == nil {
		problem = o.took(rw, req)
	}
	return then, problem
}
