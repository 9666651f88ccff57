package access

import "github.com/scanedge/scanedge/sync/issuer"

// Control is what an origin tells an edge, as a line of a stream: the whole of it at once, whenever anything changed, and every few
// seconds again. The last line is the truth. It holds the seeds, so it is for edges alone.
type Control struct {
	Version     int               `json:"version"`
	Serial      uint64            `json:"serial"` // grows with each change, also over restarts of the origin
	Issuers     []issuer.Public   `json:"issuers"`
	ScannerKeys map[Hash]string   `json:"scanner_keys"`    // hash to the checkpoint's name
	ScannerIDs  map[Hash]string   `json:"scanner_ids"`     // hash to the token's id, by which its use is reported
	Edges       map[string]string `json:"edges,omitempty"` // the fleet's edges
}

// ControlVersion is the version of Control that this scanedge speaks.
const ControlVersion = 1
