package edge

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
)

// outcome is what a scan ends in: a status, or the problem that kept it from one. Those of a record come first, in its order.
type outcome uint8

const (
	green outcome = iota
	yellow
	red
	void
	lapsed
	malformedCode
	unknownSubject
	issuerNotHeld
	notReady
	noKey
	tooStale
	plainForbidden
	forgedCode
	codeExpired
	clockAhead
	notYetValid
	behind
	tooFast
	lockedOut
	outcomes // how many there are

	judged = green // as long as nothing is wrong: settle says what the record comes down to
)

// words are the outcomes' names: in answers, and as a label of scanedge_scans_total.
var words = [outcomes]string{
	"green", "yellow", "red", "void", cache.Lapsed,
	string(scanedge.MalformedCode), string(scanedge.UnknownSubject), string(scanedge.IssuerNotHeld), string(scanedge.NotReady),
	string(scanedge.NoKey), string(scanedge.TooStale), string(scanedge.PlainForbidden),
	string(scanedge.ForgedCode), string(scanedge.CodeExpired), string(scanedge.ClockAhead), string(scanedge.NotYetValid), string(scanedge.Behind),
	string(scanedge.TooFast), string(scanedge.LockedOut),
}

func (o outcome) String() string { return words[o] }

// problem is the outcome as a problem; it is none for a status.
func (o outcome) problem() scanedge.ProblemType { return scanedge.ProblemType(words[o]) }

// refused reports whether the scan got no status.
func (o outcome) refused() bool { return o > lapsed }

// statusAt is what a record comes down to, seconds after 1970.
func statusAt(r cache.Record, unix int64) outcome {
	if r.LapsedAt(unix) {
		return lapsed
	}
	return outcome(r.Status())
}

// counts are the scans of one issuer by what they ended in, found by index: a scan looks up no name.
type counts [outcomes]*metrics.Counter

func newCounts(set *metrics.Set, issuer string) (c counts) {
	for o := range c {
		c[o] = set.GetOrCreateCounter(fmt.Sprintf("scanedge_scans_total{issuer=%q,outcome=%q}", issuer, words[o]))
	}
	return c
}

func (c *counts) sum() (n uint64) {
	for _, one := range c {
		n += one.Get()
	}
	return n
}
