package access

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/scanedge/scanedge/edge/limit"
)

// Kind is what a token is for.
type Kind string

// The kinds of tokens.
const (
	Push  Kind = "push"  // authorities that push
	Scan  Kind = "scan"  // gates; edges check these keys
	Admin Kind = "admin" // operators
)

// Token is what is known of a token; who knows it can't bring it. Its JSON is a promise.
type Token struct {
	ID        string   `json:"id"`
	Kind      Kind     `json:"kind"`
	Name      string   `json:"name"`                 // who brings it; of a scanner key the checkpoint
	Issuers   []string `json:"issuers,omitempty"`    // of a push token: the issuers that it may push to; none: all, also those to come
	Rate      float64  `json:"rate,omitempty"`       // of a push token: deltas a second; of a scanner key: scans a second at each edge; 0: as many as come
	Burst     int      `json:"burst,omitempty"`      // of a scanner key with a rate: scans at once
	Guard     *bool    `json:"guard,omitempty"`      // of a scanner key: who collects bad codes with it is locked out; nil: its edges say what its limits are
	MaxDeltas int      `json:"max_deltas,omitempty"` // of a push token: deltas in one push; 0: as many as any push may have

	Made    time.Time `json:"made"`
	Rotated time.Time `json:"rotated,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // zero: it does not
	Revoked time.Time `json:"revoked,omitzero"`
	Used    time.Time `json:"used,omitzero"` // to the second; of a scanner key as edges reported it
}

// maxName is the longest name, in characters.
const maxName = 64

// Check reports what a token that is to be made can't be.
func (t *Token) Check() error {
	switch {
	case t.Kind != Push && t.Kind != Scan && t.Kind != Admin:
		return fmt.Errorf("kind %q; it must be push, scan or admin", t.Kind)
	case !validName(t.Name):
		return fmt.Errorf("name %q; it must be 1 to %d printable characters, of a scanner key the checkpoint's name", t.Name, maxName)
	case t.Kind != Push && (len(t.Issuers) > 0 || t.MaxDeltas != 0):
		return errors.New("issuers and max_deltas are for push tokens")
	case t.Kind != Scan && (t.Burst != 0 || t.Guard != nil):
		return errors.New("burst and guard are for scanner keys")
	case t.Kind == Admin && t.Rate != 0:
		return errors.New("rate is for push tokens and scanner keys")
	case t.Kind == Scan:
		return limit.Limits{Rate: t.Rate, Burst: t.Burst}.Check()
	case t.Rate < 0 || math.IsInf(t.Rate, 0) || math.IsNaN(t.Rate):
		return fmt.Errorf("rate %v; it must be deltas a second, 0 for as many as come", t.Rate)
	case t.MaxDeltas < 0:
		return fmt.Errorf("max_deltas %d; it must be 1 or more, 0 for as many as any push may have", t.MaxDeltas)
	}
	return nil
}

// Limit gives a scanner key limits of its own.
func (t *Token) Limit(l Limits) { t.Rate, t.Burst, t.Guard = l.Rate, l.Burst, &l.Guard }

// Limits are those of a scanner key, and whether it has any of its own, none at all among them.
func (t *Token) Limits() (l Limits, own bool) {
	if t.Guard == nil {
		return Limits{}, false
	}
	return Limits{t.Rate, t.Burst, *t.Guard}, true
}

func validName(name string) bool {
	n := utf8.RuneCountInString(name)
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return n >= 1 && n <= maxName && utf8.ValidString(name)
}

// Lives reports whether the token opens its door at a time.
func (t *Token) Lives(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

// Bearer is a token that was brought, or may be. Its methods are safe for concurrent use.
type Bearer struct {
	record // guarded by the store's mu, but for what never changes: id, kind, name, issuers, limits and end

	used atomic.Int64 // Unix seconds, 0: never

	mu    sync.Mutex // guards the bucket
	level float64    // deltas that may come at once, as of at
	at    time.Time  // zero: the bucket is full
}

// record is a token with what it is checked against.
type record struct {
	Token
	Secrets []secret `json:"secrets"` // the newest first, at most two
}

// secret is the hash of one that was shown, and until when it is good; zero: as long as its token.
type secret struct {
	Hash  Hash      `json:"hash"`
	Until time.Time `json:"until,omitzero"`
}

// Name is who brings the token.
func (b *Bearer) Name() string { return b.Token.Name }

// May reports whether the token is for an issuer, whether or not there is one of that id.
func (b *Bearer) May(issuer string) bool {
	return len(b.Issuers) == 0 || slices.Contains(b.Issuers, issuer)
}

// Largest is how many deltas one push of the bearer's may have, where others may have most.
func (b *Bearer) Largest(most int) int {
	if b.MaxDeltas == 0 {
		return most
	}
	return min(b.MaxDeltas, most)
}

// Take takes n deltas out of the bucket that the rate fills, up to a burst that is no less than n. If it does not hold so many it
// takes none and returns how long that will take. A start of the origin fills the bucket.
func (b *Bearer) Take(n, burst int) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait = b.wait(n, burst); wait == 0 {
		b.level -= float64(n)
	}
	return wait
}

// Wait is how long Take would be refused.
func (b *Bearer) Wait(n, burst int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait(n, burst)
}

func (b *Bearer) wait(n, burst int) time.Duration {
	if b.Rate == 0 {
		return 0
	}
	now := time.Now()
	if b.at.IsZero() {
		b.level = float64(burst)
	} else {
		b.level = min(float64(burst), b.level+now.Sub(b.at).Seconds()*b.Rate)
	}
	b.at = now
	lacking := max(0, float64(n)-b.level)
	return time.Duration(min(lacking/b.Rate, maxWait.Seconds()) * float64(time.Second))
}

// maxWait is the longest wait that Take speaks of.
const maxWait = 24 * time.Hour
