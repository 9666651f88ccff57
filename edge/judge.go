package edge

import (
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

// verdict is a judged code.
type verdict struct {
	outcome outcome
	record  cache.Record
	held    *held     // nil if the code names no issuer that is held
	vouch   *Vouch    // nil if no table was asked
	now     time.Time // read after the table was
	ageMS   int64     // of the vouch then

	seen   bool  // a scanner showed this very code before
	seenMS int64 // and so many milliseconds ago first

	wait time.Duration // until it is worth to ask again; 0: that depends on the outcome alone

	code passcode.Code
}

// A code is judged in three steps: open, then a lookup in the table that open names, then settle. Together they allocate nothing. Whether
// its issuer made the code is asked before its time and its subject are: nobody learns of either by a code of his own make. Both the
// code's time and the answer's age are of one clock, read after the table was.

// open reads a code into v, which must be zero but for its code, and checks all that can be checked without table and clock. It reports
// whether the table of v.vouch is to be asked for key, whose memory is then on its way; if not, v has its outcome.
func (s *Server) open(v *verdict, text []byte, by *asker) (key cache.Key, ask bool) {
	good := passcode.Parse(text, &v.code)
	if !by.scanner && !(good && v.code.Kind == passcode.Rolling) {
		v.outcome = noKey
		return key, false
	}
	if !good {
		v.outcome = malformedCode
		return key, false
	}
	if v.held = s.holdings()[string(v.code.Issuer())]; v.held == nil {
		v.outcome = issuerNotHeld
		return key, false
	}
	vouch := v.held.vouch.Load()
	if vouch == nil {
		v.outcome = notReady
		return key, false
	}
	if v.code.Kind == passcode.Plain && vouch.PlainOff {
		v.outcome = plainForbidden
		return key, false
	}
	key = vouch.Seed.Key(v.code.Subject())
	vouch.Table.Touch(key)
	if v.code.Kind != passcode.Plain && !s.verify(&v.code, text, vouch) {
		v.outcome = forgedCode
		return key, false
	}
	v.vouch = vouch
	return key, true
}

// plain makes v what open makes of a plain code that is to be looked up in that vouch's table. It leaves the code's other parts as they
// are: nothing asks for them.
func (v *verdict) plain(h *held, vouch *Vouch) {
	v.outcome, v.held, v.vouch, v.seen, v.wait, v.code.Kind = judged, h, vouch, false, 0, passcode.Plain
}

// found takes what the table says.
func (v *verdict) found(r cache.Record, ok bool) {
	v.record = r
	if !ok {
		v.outcome = unknownSubject
	}
}

// moment is a time at which verdicts are ended, and what they share who are of one vouch then.
type moment struct {
	now   time.Time
	unix  int64
	vouch *Vouch // nil: what follows is of none
	ageMS int64
	tail  []byte // of its verdicts; empty: nobody asked for it
}

// begin makes it that time.
func (m *moment) begin(now time.Time) {
	m.now, m.unix, m.vouch, m.tail = now, now.Unix(), nil, m.tail[:0]
}

// of makes it the vouch's.
func (m *moment) of(v *Vouch) *moment {
	if m.vouch != v {
		m.vouch, m.ageMS, m.tail = v, v.ageMS(m.now), m.tail[:0]
	}
	return m
}

// settle ends a verdict at a moment that came after the table was read, charges who asked with it, and counts it. That a subject is
// not there is also a word of the table's, and no better than its age.
func (s *Server) settle(v *verdict, by *asker, at *moment) {
	if v.now = at.now; v.vouch != nil {
		unix := at.unix
		v.ageMS = at.of(v.vouch).ageMS
		if v.code.Kind == passcode.Rolling {
			s.skews.count(v.code.Skew(unix))
		}
		switch standing := v.standing(unix); {
		case standing != judged:
			v.outcome = standing
		case v.vouch.tooStaleAt(v.ageMS):
			v.outcome = tooStale
		case by.least != nil && v.vouch.Offset < by.leastOf(v.held.issuer):
			v.outcome = behind
		case v.outcome == judged:
			v.outcome = statusAt(v.record, unix)
			if v.code.Kind == passcode.Rolling && by.scanner {
				s.mark(v)
			}
		}
	}
	s.charge(v, by)
	s.count(v)
}

// standing is what is wrong with the time of a code that its issuer made, or judged.
func (v *verdict) standing(unix int64) outcome {
	if v.code.Kind == passcode.Plain {
		return judged
	}
	return standings[v.vouch.Codes.Standing(&v.code, unix)]
}

var standings = [...]outcome{passcode.Current: judged, passcode.Expired: codeExpired, passcode.Ahead: clockAhead, passcode.Early: notYetValid}

// count adds a verdict to the scans of its issuer, or of none that is held.
func (s *Server) count(v *verdict) {
	c := &s.elsewhere
	if v.held != nil {
		c = v.held.counts
	}
	c[v.outcome].Inc()
}
