package access

import (
	"math"

	"github.com/scanedge/scanedge/sync/issuer"
)

// Control is what an origin tells an edge, as a line of a stream: the whole of it at once, whenever anything changed, and every few
// seconds again. The last line is the truth. It holds the seeds, so it is for edges alone.
type Control struct {
	Version     int               `json:"version"`
	Serial      uint64            `json:"serial"` // grows with each change, also over restarts of the origin
	Issuers     []issuer.Public   `json:"issuers"`
	ScannerKeys map[Hash]string   `json:"scanner_keys"`    // hash to the checkpoint's name
	ScannerIDs  map[Hash]string   `json:"scanner_ids"`     // hash to the token's id, by which its use is reported
	Edges       map[string]string `json:"edges,omitempty"` // the fleet's edges

	ScannerLimits map[string]Limits `json:"scanner_limits,omitempty"` // by token id; of one that is not there the edge decides
}

// Limits are what a scanner key may do at each edge. The zero Limits are none.
type Limits struct {
	Rate  float64 `json:"rate,omitempty"`  // scans a second; 0: as many as come
	Burst int     `json:"burst,omitempty"` // scans at once
	Guard bool    `json:"guard,omitempty"` // who collects bad codes with it is slowed, and locked out
}

// defaultRate is that of a scanner key of which nothing is said. A gate scans once a second or two; what a thousand a second keep away is one
// that tries again without waiting.
const defaultRate = 1000

// NewLimits are those of a new scanner key, of which what is nil is not said: then it may scan 1,000 times a second, ten seconds of its
// rate at once, so that an aggregating gateway's largest batch is no more than that, and it is guarded.
func NewLimits(rate *float64, burst *int, guard *bool) Limits {
	l := Limits{Rate: defaultRate, Guard: true}
	if rate != nil {
		l.Rate = *rate
	}
	l.Burst = int(math.Ceil(10 * l.Rate))
	if burst != nil {
		l.Burst = *burst
	}
	if guard != nil {
		l.Guard = *guard
	}
	return l
}

// ControlVersion is the version of Control that this scanedge speaks.
const ControlVersion = 1
