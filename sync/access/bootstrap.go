package access

import "github.com/scanedge/scanedge/sync/issuer"

// Bootstrap is what an origin tells an edge that may follow it: all that the edge needs besides the origin's address. It
// holds the seeds, so it is for edges alone.
type Bootstrap struct {
	Version     int             `json:"version"`
	Log         LogAddress      `json:"log"`
	Issuers     []issuer.Public `json:"issuers"`
	ScannerKeys map[Hash]string `json:"scanner_keys"` // hash to name
}

// LogAddress is where the log is and how to be let in.
type LogAddress struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// BootstrapVersion is the version of Bootstrap that this scanedge speaks.
const BootstrapVersion = 1
