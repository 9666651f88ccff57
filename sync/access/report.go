package access

import "github.com/scanedge/scanedge"

// Report is what an edge tells its origin, as a line of a stream: all of it at once, whenever a table shows more, and each second. The
// last line is the truth.
type Report struct {
	Version        string   `json:"version"`         // of scanedge
	Holds          []string `json:"holds,omitempty"` // the issuers that it was told to hold; none: all that it may read
	Scans          uint64   `json:"scans"`           // since its start
	ScansPerSecond float64  `json:"scans_per_second"`

	Issuers []scanedge.EdgeIssuerStatus `json:"issuers"`
	Offers  *Offers                     `json:"offers,omitempty"` // nil: none
	Used    map[string]int64            `json:"used,omitempty"`   // Unix seconds by token id: scanner keys that were used after an earlier line said
}

// Offers is what an edge has for other edges.
type Offers struct {
	URL       string            `json:"url"`       // https://HOST:PORT; an unspecified host is the one that it calls from
	Snapshots map[string]string `json:"snapshots"` // id of the newest, by issuer
}

// MaxReport bounds a line, in bytes.
const MaxReport = 1 << 20
