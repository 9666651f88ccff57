package passcode

import "crypto/ed25519"

// Keyring is what an issuer's codes are checked with. It does not change once in use: any number may use it at once.
type Keyring struct {
	Keys    []Key             // at most one of an id; those of before a change are still good
	Signing ed25519.PublicKey // of signed codes; empty: none is good
	Window  uint32            // how many steps before and after the present one a rolling code may be of
}

// nobody is tried where there is no key at all.
var nobody = NewKey("", 0, make([]byte, 32))

// Verify reports whether c is a code that its issuer made: whenever that was. A plain code is nobody's, so it never is. A rolling code
// costs the same whatever is wrong with it, its key's id too. It allocates nothing.
func (r *Keyring) Verify(c *Code) bool {
	if c.Kind != Rolling {
		return c.VerifySignature(r.Signing)
	}
	if len(r.Keys) == 0 {
		return nobody.Verify(c)
	}
	key := &r.Keys[0] // of another id: it does not verify, but takes its time
	for i := range r.Keys {
		if r.Keys[i].id == c.KeyID {
			key = &r.Keys[i]
		}
	}
	return key.Verify(c)
}

// Standing is what a clock says of a code that its issuer made.
type Standing byte

// What a clock says.
const (
	Current Standing = iota // it is good now
	Expired                 // its time is over
	Ahead                   // a rolling code of a step to come: the clock that it was made by is ahead
	Early                   // a signed code whose time is to come
)

// Standing says where c stands at a time in seconds since 1970. A plain code is always current.
func (r *Keyring) Standing(c *Code, unix int64) Standing {
	switch c.Kind {
	case Rolling:
		switch skew := c.Skew(unix); {
		case skew < -int64(r.Window):
			return Expired
		case skew > int64(r.Window):
			return Ahead
		}
	case Signed:
		switch {
		case unix >= int64(c.Until):
			return Expired
		case unix < int64(c.From):
			return Early
		}
	}
	return Current
}

// Skew is how many steps a rolling code is ahead of a time in seconds since 1970; below zero, behind it.
func (c *Code) Skew(unix int64) int64 { return int64(c.Step) - int64(Step(unix)) }

// Ahead is how many seconds pass from a time, in seconds since 1970, to the beginning of a rolling code's step.
func (c *Code) Ahead(unix int64) int64 { return int64(c.Step)*StepSeconds - unix }
