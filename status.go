package scanedge

import "time"

// Lease is the age past which an edge no longer vouches for its table, and after which an edge that reports nothing is silent.
const Lease = 3 * time.Second

// The states of a fleet, and of an edge.
const (
	Healthy  = "healthy"
	Degraded = "degraded"

	EdgeLive    = "live"    // it reported within the lease
	EdgeSilent  = "silent"  // it has joined, and has reported nothing for longer than the lease, or not since the origin's start
	EdgeNever   = "never"   // it was enrolled and has not joined yet; its token may have expired
	EdgeRevoked = "revoked" // it is shown for as long as the register names it, and degrades nothing
)

// FleetStatus is what an origin knows of itself and of its edges at one moment. Its JSON is a promise.
type FleetStatus struct {
	State   string         `json:"state"`         // [Healthy] or [Degraded]
	Why     []string       `json:"why,omitempty"` // what degrades it, a sentence each, the worst first
	At      time.Time      `json:"at"`
	Version string         `json:"version"` // the origin's
	Issuers []IssuerStatus `json:"issuers"` // by id
	Edges   []EdgeStatus   `json:"edges"`   // by name
}

// IssuerStatus is an issuer as its origin has it. Beside a running push its numbers may be of different moments.
type IssuerStatus struct {
	Issuer string `json:"issuer"`
	Offset uint64 `json:"offset"` // of the log's last batch
	Count  uint64 `json:"count"`  // subjects in the table
	Digest string `json:"digest"`

	LogBytes uint64 `json:"log_bytes"` // as they were looked up last, some seconds ago
	LogFirst uint64 `json:"log_first"` // the first and the last offset that the log holds, beats included
	LogLast  uint64 `json:"log_last"`

	SnapshotOffset uint64     `json:"snapshot_offset,omitempty"` // of the newest; absent: none was written yet
	SnapshotBytes  uint64     `json:"snapshot_bytes,omitempty"`
	SnapshotAt     *time.Time `json:"snapshot_at,omitempty"`

	Held       int     `json:"held,omitempty"`        // pushes that wait for an approval
	ReachedAll *uint64 `json:"reached_all,omitempty"` // the offset that every live edge which holds the issuer shows; absent: there is no such edge
}

// EdgeStatus is an edge as it reported last.
type EdgeStatus struct {
	Edge    string `json:"edge"`
	State   string `json:"state"`             // [EdgeLive], [EdgeSilent], [EdgeNever] or [EdgeRevoked]
	Version string `json:"version,omitempty"` // of scanedge
	Why     string `json:"why,omitempty"`     // what is to be known of a state other than live

	ReportedAgeMS  *int64  `json:"reported_age_ms,omitempty"` // since its last report; absent: none since the origin's start
	Scans          uint64  `json:"scans"`                     // since the edge's start, refused ones included
	ScansPerSecond float64 `json:"scans_per_second"`          // in the second before its report

	Issuers []EdgeIssuerStatus `json:"issuers"` // those that it holds, by id
}

// EdgeIssuerStatus is how far an edge's table can be believed. Ages include the time since the report.
type EdgeIssuerStatus struct {
	Issuer string `json:"issuer"`
	Ready  bool   `json:"ready"`  // its table has caught up, so scans are answered
	Offset uint64 `json:"offset"` // every batch up to here is visible to scans

	AgeMS    int64  `json:"age_ms"`        // since the table agreed with the origin; 0 if it is not ready
	Vouching bool   `json:"vouching"`      // answers are not marked stale
	Agrees   bool   `json:"agrees"`        // the table had the origin's digest when it was compared last, and is not suspect
	Why      string `json:"why,omitempty"` // it does not vouch, or does not agree

	ScrubAgeMS   int64  `json:"scrub_age_ms"`   // since all of the table's memory was read again, or since it is shown
	ScrubEveryMS int64  `json:"scrub_every_ms"` // in what time that is to be done
	Rebuilds     uint64 `json:"rebuilds"`       // how often the table was given up and made anew, since the edge's start
}

// Reached is which edges show an offset. Its JSON is a promise.
type Reached struct {
	Issuer  string   `json:"issuer"`
	Offset  uint64   `json:"offset"`
	Reached []string `json:"reached"` // names of edges
	Missing []string `json:"missing"`
}
