package origin

import (
	"fmt"
	"net/http"

	"github.com/scanedge/scanedge"
)

// changeAsked reads the query of a push.
func changeAsked(req *http.Request) (dry, replace bool, problem *scanedge.Problem) {
	if req.URL.RawQuery == "" {
		return false, false, nil
	}
	for name, values := range req.URL.Query() {
		on := len(values) == 1 && values[0] == "1"
		switch {
		case name == "dry_run" && on:
			dry = true
		case name == "replace" && on:
			replace = true
		case name == "dry_run" || name == "replace":
			return false, false, scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("%s=%s; say %s=1, or leave it away", name, values[0], name))
		}
	}
	return dry, replace, nil
}

// serveDryRun answers what a push would do. It asks nobody to wait: beside other pushes each subject counts as what it is at some
// moment.
func (o *Origin) serveDryRun(rw http.ResponseWriter, req *http.Request) {
	a, problem := o.asked(rw, req)
	at := &place{of: o.places}
	defer at.leave()
	var p *push
	if problem == nil {
		p, problem = o.read(rw, req, a, at)
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	last := a.w.past.lastBatch()
	t := p.tally(&a.w.table, nil)
	weight := t.weight()
	writeJSON(rw, scanedge.Preview{
		Offset: last, After: t.before + t.added - t.removed, Figures: t.figures(),
		Held: a.w.maxChange().Exceeded(weight.bad, weight.all, t.before), MaxChange: a.w.maxChange(),
	})
}
