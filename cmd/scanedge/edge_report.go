package main

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/sync/replica"
)

// edgeReportJSON is what GET /v1/report answers: how far each table can be believed. No subject is in it.
type edgeReportJSON struct {
	Edge    string             `json:"edge"`
	Issuers []issuerReportJSON `json:"issuers"`
}

// issuerReportJSON leaves out what there is not yet.
type issuerReportJSON struct {
	Issuer   string `json:"issuer"`
	Offset   uint64 `json:"offset"` // the table holds every batch up to here
	Subjects int    `json:"subjects"`
	Digest   string `json:"digest"`

	Vouching bool   `json:"vouching"`         // answers are not marked stale
	Why      string `json:"why,omitempty"`    // not
	AgeMS    *int64 `json:"age_ms,omitempty"` // since the table agreed with a beat
	At       uint64 `json:"following_at"`     // where the table is that follows the log: another one while it is on its way

	ScrubAgeS      *float64 `json:"scrub_age_s,omitempty"`  // since all of the table was read again
	ScrubPassS     *float64 `json:"scrub_pass_s,omitempty"` // and how long that took
	SnapshotOffset *uint64  `json:"snapshot_offset,omitempty"`
	SnapshotAgeS   *float64 `json:"snapshot_age_s,omitempty"` // since the table was kept for the next start
}

// edgeReport answers operators who ask what this edge knows of its tables.
func edgeReport(name string, keeper *replica.Keeper) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/report", func(rw http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			rw.Header().Set("Allow", "GET, HEAD")
			scanedge.NewProblem(scanedge.MethodNotAllowed, "").Write(rw)
			return
		}
		report := edgeReportJSON{Edge: name, Issuers: []issuerReportJSON{}}
		for _, r := range keeper.Report() {
			report.Issuers = append(report.Issuers, reportOf(r, time.Now()))
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(rw).Encode(report) // what fails here is the connection
	})
	mux.HandleFunc(edge.OpenAPIPath, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/yaml")
		rw.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(rw, edge.OpenAPI) // what fails here is the connection
	})
	mux.HandleFunc("/", notFound)
	return mux
}

func reportOf(r replica.Report, now time.Time) issuerReportJSON {
	out := issuerReportJSON{
		Issuer: r.Issuer, Offset: r.Offset, Subjects: r.Subjects, Digest: r.Digest.String(), At: r.At, Why: r.Why,
	}
	if !r.Beat.IsZero() {
		age := now.Sub(r.Beat)
		ms := age.Milliseconds()
		out.AgeMS = &ms
		out.Vouching = age <= edge.Lease && !r.Suspect
	}
	if !r.Scrubbed.IsZero() {
		out.ScrubAgeS, out.ScrubPassS = seconds(now.Sub(r.Scrubbed)), seconds(r.ScrubTook)
	}
	if !r.Kept.IsZero() {
		out.SnapshotOffset, out.SnapshotAgeS = &r.KeptOffset, seconds(now.Sub(r.Kept))
	}
	switch {
	case out.Vouching:
		out.Why = ""
	case out.Why == "" && r.Beat.IsZero():
		out.Why = "not caught up with the log yet"
	case out.Why == "":
		out.Why = "no beat of the origin's for longer than the lease"
	}
	return out
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}
