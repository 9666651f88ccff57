package origin

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
)

// controlEvery is how often edges are told the same again, so that silence shows. Tests are quicker.
var controlEvery = 5 * time.Second

// slowEdge is how long an edge may not take a line before it is cut off. Tests are quicker.
var slowEdge = 10 * time.Second

// control is what an edge is told, and a channel that is closed when it is out of date.
func (o *Origin) control(e enrol.Edge) (c access.Control, outdated <-chan struct{}) {
	c, outdated = o.access.Control() // before the rest, which may be newer than its serial, never older
	c.Edges = o.enrolled.registry.Keys()
	for _, w := range o.sorted() {
		if e.May(w.secret.ID) {
			c.Issuers = append(c.Issuers, w.secret.Public())
		}
	}
	return c, outdated
}

// serveControl answers GET /v1/control: a line of JSON at once, on every change, and again after a while, without an end. Changes
// that come while a line is being sent are told together.
func (o *Origin) serveControl(rw http.ResponseWriter, req *http.Request) {
	if o.streams.Err() != nil {
		scanedge.NewProblem(scanedge.NotReady, errStopping.Error()).Write(rw)
		return
	}
	rw.Header().Set("Content-Type", scanedge.NDJSON)
	rw.Header().Set("Cache-Control", "no-store")
	if req.Method == http.MethodHead {
		return
	}
	conn := http.NewResponseController(rw)
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }() // the connection's next answer has its own time
	again := time.NewTicker(controlEvery)
	defer again.Stop()
	for {
		e, known := o.edgeOf(req)
		if !known {
			return // it was revoked meanwhile
		}
		c, outdated := o.control(e)
		_ = conn.SetWriteDeadline(time.Now().Add(slowEdge)) // a test's recorder has no deadlines
		if json.NewEncoder(rw).Encode(c) != nil || conn.Flush() != nil {
			return
		}
		select {
		case <-outdated:
		case <-again.C:
		case <-req.Context().Done():
			return
		case <-o.streams.Done():
			return
		}
	}
}
