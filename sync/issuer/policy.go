package issuer

import (
	"fmt"
	"time"
)

// Policy is what an issuer has settled for its codes and its table; it may change at any time. Its JSON is part of the issuer's file
// and of the API.
type Policy struct {
	MaxStaleSeconds      int64     `json:"max_stale_s"`       // the age past which edges refuse to answer; 0: as soon as they may not vouch any more
	Plain                bool      `json:"plain"`             // edges answer for plain codes, which prove nothing but that their bearer knows the id
	SnapshotEverySeconds int64     `json:"snapshot_every_s"`  // the age at which the origin replaces a snapshot; 0: as the origin does by default
	CodeWindowSteps      int       `json:"code_window_steps"` // steps of 30 s by which a rolling code may be behind or ahead of an edge's clock, 0 to 20
	MaxChange            MaxChange `json:"max_change"`
}

// MaxChange is how much one push may change without a second person's word: shares of the subjects that were there before it. New
// subjects never count.
type MaxChange struct {
	Bad   float64 `json:"bad"`   // that it turns red or void
	All   float64 `json:"all"`   // whose status it changes in any way, or that it removes
	Floor int     `json:"floor"` // subjects that it may change in any case
}

// DefaultMaxStale is the max_stale of an issuer that was made without saying so.
const DefaultMaxStale = 24 * time.Hour

// A captured rolling code is of use for up to (2 window + 1) steps of 30 s: 90 s by default, 20 minutes and a half at most.
const (
	defaultCodeWindow = 1
	maxCodeWindow     = 20
)

// DefaultPolicy is that of an issuer that was made without saying anything.
func DefaultPolicy() Policy {
	return Policy{
		MaxStaleSeconds: int64(DefaultMaxStale / time.Second), Plain: true, CodeWindowSteps: defaultCodeWindow,
		MaxChange: MaxChange{Bad: 0.05, All: 0.2, Floor: 1000},
	}
}

// maxPeriod is ten years, in seconds.
const maxPeriod = 10 * 365 * 24 * 60 * 60

// Check reports what no policy can be.
func (p *Policy) Check() error {
	switch {
	case p.MaxStaleSeconds < 0 || p.MaxStaleSeconds > maxPeriod:
		return fmt.Errorf("max_stale_s is %d, not 0 to %d", p.MaxStaleSeconds, maxPeriod)
	case p.SnapshotEverySeconds < 0 || p.SnapshotEverySeconds > maxPeriod:
		return fmt.Errorf("snapshot_every_s is %d, not 0 to %d", p.SnapshotEverySeconds, maxPeriod)
	case p.CodeWindowSteps < 0 || p.CodeWindowSteps > maxCodeWindow:
		return fmt.Errorf("code_window_steps is %d, not 0 to %d", p.CodeWindowSteps, maxCodeWindow)
	case !share(p.MaxChange.Bad) || !share(p.MaxChange.All):
		return fmt.Errorf("max_change is %v bad and %v in all; both are shares, 0 to 1", p.MaxChange.Bad, p.MaxChange.All)
	case p.MaxChange.Floor < 0:
		return fmt.Errorf("max_change has a floor of %d; it must be 0 or more", p.MaxChange.Floor)
	}
	return nil
}

func share(x float64) bool { return x >= 0 && x <= 1 }
