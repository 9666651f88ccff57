// Package scanedge is the client of a scanedge fleet, for Go programs that scan codes or push statuses.
//
// A scanner asks an edge:
//
//	edge := scanedge.NewEdge("http://127.0.0.1:7001", key)
//	verdict, err := edge.Scan(ctx, "demo-a:d000000001")
//
// A gate that has several edges asks them as if they were one; what one can't answer now, or is slow to, another does:
//
//	edges := scanedge.NewEdges(scanedge.NewEdge(near, key), scanedge.NewEdge(far, key))
//	edges.Retry.For = 2 * time.Second
//	verdict, err := edges.Scan(ctx, code)
//
// Whoever asks is never shown an older status than before: the client tells edges what it has seen.
//
// An authority pushes to the origin:
//
//	origin := scanedge.NewOrigin("http://127.0.0.1:7000", token)
//	receipt, err := origin.Push(ctx, "demo-a", []scanedge.Delta{{Subject: "d000000001", Status: scanedge.Red}})
//
// What a server refuses comes back as a [*Problem] with a stable word as its Type. The package imports nothing else of the
// module; edge, origin and commands share its types, so what one writes the other reads.
package scanedge

import "time"

// Status is what a subject's record says: one of the words below.
type Status string

// The statuses. Lapsed is read, never pushed: the record's until has passed.
const (
	Green  Status = "green"
	Yellow Status = "yellow"
	Red    Status = "red"
	Void   Status = "void"
	Lapsed Status = "lapsed"
)

// Verdict is an edge's answer to a scan.
type Verdict struct {
	Issuer string    `json:"issuer"`
	Status Status    `json:"status"`
	Until  time.Time `json:"until,omitzero"`   // to the minute; zero when the record holds without end
	Reason int       `json:"reason,omitempty"` // 0 to 63, the issuer's own meaning; 0 is none
	Offset uint64    `json:"offset"`           // the table holds every batch of the log up to here
	AgeMS  *int64    `json:"age_ms,omitempty"` // milliseconds since the edge last agreed with the origin's beat; nil before the first
	Stale  bool      `json:"stale,omitempty"`  // the edge does not vouch for the verdict: age is past the lease of 3 s

	// A scanner showed this very rolling code to this edge before, and first so many milliseconds ago: it may be a screenshot that was passed
	// back over the fence. Nil: not that the edge remembers; it may forget, and it does not know what others saw.
	SeenMSAgo *int64 `json:"seen_ms_ago,omitempty"`
}

// Delta is one subject's new record, or its removal. Applying it twice changes nothing.
type Delta struct {
	Subject string    `json:"subject"`
	Status  Status    `json:"status,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Reason  int       `json:"reason,omitempty"`
	Remove  bool      `json:"remove,omitempty"`
}

// Receipt is the origin's answer to a push: it is on the log's disk.
type Receipt struct {
	Offset uint64 `json:"offset"` // an edge at this offset or past it shows the push
	Count  int    `json:"count"`  // deltas in the push

	Replayed bool `json:"-"` // the origin knew the push by its key, and this is the answer that it gave, or meant to give, before
}
