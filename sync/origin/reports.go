package origin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
)

// reportSilence is how long an edge may not say anything, though a line is due each second, before its stream is ended. Tests are quicker.
var reportSilence = 10 * time.Second

// maxWhy is how much of an edge's explanation is kept, in bytes.
const maxWhy = 300

// answeredEarly is h for requests that are answered before their body has ended, if it ever does: net/http would wait for that before it sends
// what refuses them.
func answeredEarly(h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		conn := http.NewResponseController(rw)
		_ = conn.EnableFullDuplex() // a test's recorder can't; nor has it deadlines
		rw.Header().Set("Connection", "close")
		defer func() { _ = conn.SetReadDeadline(time.Now()) }()
		h(rw, req)
	}
}

// serveReports answers POST /v1/edges/self/reports: an edge says how it is, a line of JSON at a time, without end. Each line is answered
// with an empty one when it was taken; the edge sends no other before. So a slow origin makes it say less, not later.
func (o *Origin) serveReports(rw http.ResponseWriter, req *http.Request) {
	if o.streams.Err() != nil {
		scanedge.NewProblem(scanedge.NotReady, errStopping.Error()).Write(rw)
		return
	}
	conn := http.NewResponseController(rw)
	defer context.AfterFunc(o.streams, func() { _ = conn.SetReadDeadline(time.Now()) })()
	e, _ := o.edgeOf(req) // it was let in
	lines := bufio.NewScanner(req.Body)
	lines.Buffer(nil, access.MaxReport)
	next := func() bool {
		_ = conn.SetReadDeadline(time.Now().Add(reportSilence))
		return o.streams.Err() == nil && lines.Scan()
	}
	for first := true; next(); first = false {
		r, err := o.reportOf(e, lines.Bytes(), req.RemoteAddr)
		if err != nil {
			o.cfg.Logger.Warn("an edge's report was refused", "edge", e.Name, "err", err)
			if first {
				scanedge.NewProblem(scanedge.BadRequest, "a report is a line of JSON: "+err.Error()).Write(rw)
			}
			return
		}
		still := func() (known bool) { e, known = o.edgeOf(req); return known }
		if !o.fleet.put(e.Name, r, still) {
			return // it was revoked meanwhile
		}
		o.access.Used(r.Used)
		if first {
			rw.Header().Set("Content-Type", scanedge.NDJSON)
			rw.Header().Set("Cache-Control", "no-store")
		}
		_ = conn.SetWriteDeadline(time.Now().Add(slowEdge))
		if _, err := rw.Write([]byte{'\n'}); err != nil || conn.Flush() != nil {
			return
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		o.cfg.Logger.Warn("an edge's report was refused", "edge", e.Name, "err", fmt.Sprintf("a line of over %d bytes", access.MaxReport))
	}
}

// reportOf reads a line of an edge's. What it says of issuers that are not its own, or that there are not, is dropped.
func (o *Origin) reportOf(e enrol.Edge, line []byte, from string) (r access.Report, err error) {
	if err := json.Unmarshal(line, &r); err != nil {
		return r, err
	}
	foreign := func(issuer string) bool { return !e.May(issuer) || o.writer(issuer) == nil }
	seen := map[string]bool{}
	r.Issuers = slices.DeleteFunc(r.Issuers, func(s scanedge.EdgeIssuerStatus) bool {
		twice := seen[s.Issuer]
		seen[s.Issuer] = true
		return twice || foreign(s.Issuer)
	})
	slices.SortFunc(r.Issuers, func(a, b scanedge.EdgeIssuerStatus) int { return strings.Compare(a.Issuer, b.Issuer) })
	for i := range r.Issuers {
		r.Issuers[i].Why = short(r.Issuers[i].Why)
	}
	r.Version, r.Incarnation = short(r.Version), short(r.Incarnation)
	if r.Offers != nil {
		if r.Offers.URL, err = peerURL(r.Offers.URL, from); err != nil {
			return r, fmt.Errorf(`an edge offers its snapshots with {"url":"https://HOST:PORT","snapshots":{"ISSUER":"ID"}}: %w`, err)
		}
		for issuer := range r.Offers.Snapshots {
			if foreign(issuer) {
				delete(r.Offers.Snapshots, issuer)
			}
		}
	}
	return r, nil
}

func short(s string) string {
	if len(s) > maxWhy {
		return strings.ToValidUTF8(s[:maxWhy], "") + "…"
	}
	return s
}
