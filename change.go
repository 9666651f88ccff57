package scanedge

import (
	"fmt"
	"strings"
)

// Figures is what a change would do, or has done, to an issuer's table: a push, a replacement of all of it or a rollback. Statuses
// are the stored ones, whether or not they have lapsed. A subject that a change sets more than once counts by the last of it.
type Figures struct {
	Before    int            `json:"before"`            // subjects that were there
	Added     int            `json:"added"`             // that were not
	Changed   map[Status]int `json:"changed,omitempty"` // whose status changes, by the new one
	Renewed   int            `json:"renewed"`           // whose status stays and whose reason or until changes
	Removed   int            `json:"removed"`
	Unchanged int            `json:"unchanged"` // that the change names and leaves as they are
}

// Bad is how many subjects that were there turn red or void.
func (f Figures) Bad() int { return f.Changed[Red] + f.Changed[Void] }

// All is how many subjects that were there get another status or go.
func (f Figures) All() int {
	n := f.Removed
	for _, c := range f.Changed {
		n += c
	}
	return n
}

// Share is the part of the subjects that were there which get another status or go: 0 to 1, and 0 of none.
func (f Figures) Share() float64 { return share(f.All(), f.Before) }

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// Plus is the figures of a change that was made of two, one after the other. A subject that both name counts twice.
func (f Figures) Plus(then Figures) Figures {
	sum := Figures{f.Before, f.Added + then.Added, nil, f.Renewed + then.Renewed, f.Removed + then.Removed, f.Unchanged + then.Unchanged}
	for _, changed := range []map[Status]int{f.Changed, then.Changed} {
		for s, n := range changed {
			if sum.Changed == nil {
				sum.Changed = map[Status]int{}
			}
			sum.Changed[s] += n
		}
	}
	return sum
}

// String reads like "2 added, 3 to red, 1 removed, 4 unchanged; 40.0 % of 10 change".
func (f Figures) String() string {
	parts := []string{fmt.Sprintf("%d added", f.Added)}
	for _, s := range []Status{Green, Yellow, Red, Void} {
		if n := f.Changed[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, s))
		}
	}
	if f.Renewed > 0 {
		parts = append(parts, fmt.Sprintf("%d with another reason or until", f.Renewed))
	}
	parts = append(parts, fmt.Sprintf("%d removed", f.Removed), fmt.Sprintf("%d unchanged", f.Unchanged))
	return fmt.Sprintf("%s; %.1f %% of %d change", strings.Join(parts, ", "), 100*f.Share(), f.Before)
}

// MaxChange is how much of an issuer's table a push may change that nobody has approved. New subjects never count.
type MaxChange struct {
	Bad   float64 `json:"bad"`   // share of the subjects that were there, 0 to 1, that may turn red or void
	All   float64 `json:"all"`   // and that may get another status or go
	Floor int     `json:"floor"` // so many subjects may, whatever their share
}

// Exceeded says which share is too large when bad of the subjects that were there before turn red or void and all get another status
// or go, or "". More cannot have been changed than were there.
func (m MaxChange) Exceeded(bad, all, before int) string {
	bad, all = min(bad, before), min(all, before)
	switch {
	case bad > m.Floor && share(bad, before) > m.Bad:
		return fmt.Sprintf("%d of %d subjects (%.1f %%) would turn red or void; at most %.1f %% may", bad, before, 100*share(bad, before),
			100*m.Bad)
	case all > m.Floor && share(all, before) > m.All:
		return fmt.Sprintf("%d of %d subjects (%.1f %%) would get another status or go; at most %.1f %% may", all, before,
			100*share(all, before), 100*m.All)
	}
	return ""
}

// Preview is what a change would do, computed and not applied.
type Preview struct {
	Offset  uint64  `json:"offset"`           // of the issuer's last batch: a push since then may make other figures
	Digest  string  `json:"digest,omitempty"` // of the table as it would be, of a replacement or a rollback
	Rows    int     `json:"rows,omitempty"`   // deltas that a replacement's file holds: more than subjects if some are there twice
	After   int     `json:"after"`            // subjects that there would be
	Figures Figures `json:"figures"`
	Held    string  `json:"held,omitempty"` // why a push would need an approval

	MaxChange MaxChange `json:"max_change"` // of the issuer
}

// Applied is the origin's answer to a replacement, a rollback or an approval: it is on the log's disk.
type Applied struct {
	Offset  uint64  `json:"offset"`  // of its last batch, or of the issuer's last one if there was nothing to do
	Batches int     `json:"batches"` // that it was appended in
	Figures Figures `json:"figures"`

	// Of an approval: the pusher's token was revoked, or has expired, while its push was held.
	PusherRevoked bool `json:"pusher_revoked,omitempty"`
}

// Held is a push that changes more than its issuer's MaxChange and waits for somebody's approval.
type Held struct {
	ID      string  `json:"id"`
	Issuer  string  `json:"issuer"`
	Pusher  string  `json:"pusher"` // the name of its token
	Note    string  `json:"note,omitempty"`
	Key     string  `json:"key,omitempty"` // its Idempotency-Key
	Time    string  `json:"time"`          // RFC 3339, when it was held
	Ends    string  `json:"ends"`          // RFC 3339, when it is dropped
	Deltas  int     `json:"deltas"`
	Why     string  `json:"why"`     // what was too much when it was held
	Figures Figures `json:"figures"` // against the table as it is now
}

// SubjectState is what an operator sees of a subject.
type SubjectState struct {
	Issuer  string      `json:"issuer"`
	Subject string      `json:"subject"`
	Status  Status      `json:"status"` // as it reads now: lapsed when its until has passed
	Reason  int         `json:"reason,omitempty"`
	Until   string      `json:"until,omitempty"`  // RFC 3339
	Offset  uint64      `json:"offset"`           // of the issuer's last batch
	Pushed  *PushedInfo `json:"pushed,omitempty"` // nil when the log no longer holds it
}

// PushedInfo is who pushed a record, and when.
type PushedInfo struct {
	Offset   uint64 `json:"offset"`
	Time     string `json:"time"`   // RFC 3339
	Pusher   string `json:"pusher"` // the name of the token
	Note     string `json:"note,omitempty"`
	Key      string `json:"key,omitempty"`      // the Idempotency-Key
	Approver string `json:"approver,omitempty"` // the name of the token that approved it
}
