package access

import (
	"slices"

	"github.com/scanedge/scanedge"
)

// Report is what an edge tells its origin, as a line of a stream: all of it at once, whenever a table shows more, and each second. The
// last line is the truth.
type Report struct {
	Version        string   `json:"version"`         // of scanedge
	Holds          []string `json:"holds,omitempty"` // the issuers that it was told to hold; none: all that it may read
	Scans          uint64   `json:"scans"`           // since its start
	ScansPerSecond float64  `json:"scans_per_second"`

	Incarnation string   `json:"incarnation,omitempty"` // names the process among those of its edge; "": one of an earlier release
	Since       int64    `json:"since,omitempty"`       // Unix microseconds from which on it is the one in charge of the edge
	Beside      []string `json:"beside,omitempty"`      // other processes of the edge that answer scans too, or may at any moment

	Issuers []scanedge.EdgeIssuerStatus `json:"issuers"`
	Offers  *Offers                     `json:"offers,omitempty"` // nil: none
	Used    map[string]int64            `json:"used,omitempty"`   // Unix seconds by token id: scanner keys that were used after an earlier line said
}

// Names reports whether the report names a process as one that answers scans beside its own.
func (r *Report) Names(incarnation string) bool { return slices.Contains(r.Beside, incarnation) }

// Offers is what an edge has for other edges.
type Offers struct {
	URL       string            `json:"url"`       // https://HOST:PORT; an unspecified host is the one that it calls from
	Snapshots map[string]string `json:"snapshots"` // id of the newest, by issuer
}

// MaxReport bounds a line, in bytes.
const MaxReport = 1 << 20
