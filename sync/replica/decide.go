package replica

import (
	"errors"
	"time"

	"github.com/scanedge/scanedge/sync/issuer"
)

// step is what follows when a table can't be followed any further: its zero value is to go on from the same place.
type step struct {
	why     string // a word for metrics, empty for what is no fault of the records
	back    bool   // go on from the last record of the chain: the beats after it may be others now
	anew    bool   // make another table, while the one that is shown grows older
	strict  bool   // and verify each record on the way
	doubt   bool   // do not vouch for what this table says
	drop    bool   // what was kept on disk of it is of no use either, nor what it was read from if it never agreed
	floor   uint64 // a table is of use only from this offset on, for the log has forgotten what follows earlier ones
	unfloor bool   // no table is too early any more: the log is another one
	pause   *backoffRange
}

// backoffRange is how long a pause is at first and at most; it doubles in between.
type backoffRange struct{ first, most time.Duration }

var (
	pauseAgain   = &backoffRange{40 * time.Millisecond, 2 * time.Second}   // the log was out of reach
	pauseOffer   = &backoffRange{200 * time.Millisecond, 5 * time.Second}  // the origin has no snapshot that would do
	pauseRefused = &backoffRange{200 * time.Millisecond, 30 * time.Second} // a record that should not be there still is
	pauseOut     = &backoffRange{500 * time.Millisecond, time.Minute}      // the origin does not let this edge in
	pauseAnew    = &backoffRange{500 * time.Millisecond, time.Minute}      // a table is large
)

// decide says what follows an error of a track. It looks at the track as it stands and changes nothing.
func (k *track) decide(err error) step {
	var panicked *panicError
	var scrubbed *scrubError
	later := k.seq > k.at.Offset // beats were taken that a log which lost its very end may have others for
	lost := errors.Is(err, issuer.ErrHole) || errors.Is(err, ErrRewound)
	switch {
	case errors.Is(err, errBehind):
		return step{}
	case lost && later:
		return step{back: true}
	case errors.As(err, &panicked):
		return step{why: "panic", anew: true, doubt: true, strict: k.strict, pause: pauseAnew}
	case errors.As(err, &scrubbed):
		return step{why: "scrub", anew: true, doubt: true, pause: pauseAnew}
	case errors.Is(err, ErrDiverged):
		return step{why: "diverged", anew: true, doubt: true, drop: true, pause: pauseAnew}
	case refusal(err) != "" && k.sure != k.at, errors.Is(err, issuer.ErrFork) && k.sure != k.at:
		return step{why: "forged past", anew: true, strict: true, pause: pauseAnew} // what it took last, nobody signed
	case errors.Is(err, issuer.ErrHole):
		return step{why: "hole", anew: true, drop: true, floor: k.at.Offset + 1, pause: pauseAnew}
	case errors.Is(err, ErrRewound):
		return step{why: "rewound", anew: true, drop: true, unfloor: true, pause: pauseAnew}
	case errors.Is(err, issuer.ErrFork):
		return step{why: "fork", anew: true, doubt: true, drop: true, unfloor: true, pause: pauseAnew}
	case refusal(err) != "":
		return step{why: refusal(err), pause: pauseRefused}
	}
	return step{pause: pauseAgain}
}

// refusal is the word for a record that is not the issuer's, or not what should stand there. Empty: the error is another.
func refusal(err error) string {
	switch {
	case errors.Is(err, issuer.ErrHole), errors.Is(err, issuer.ErrFork):
		return ""
	case errors.Is(err, issuer.ErrSignature):
		return "signature"
	case errors.Is(err, errReplayed):
		return "replayed"
	case errors.Is(err, issuer.ErrVersion):
		return "version"
	case errors.Is(err, errUnreadable):
		return "unreadable"
	case errors.Is(err, issuer.ErrChain):
		return "misplaced"
	}
	return ""
}
