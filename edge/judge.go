package edge

import (
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

// asker is who wants to know.
type asker struct {
	scanner bool // it brought a scanner key that is known
}

// verdict is a judged code.
type verdict struct {
	outcome outcome
	record  cache.Record
	held    *held     // nil if the code names no issuer that is held
	vouch   *Vouch    // nil if no table was asked
	now     time.Time // read after the table was
}

// judge gives the verdict on a code, and counts it. It allocates nothing.
func (s *Server) judge(code []byte, by asker) (v verdict) {
	if key, ask := s.open(code, by, &v); ask {
		v.found(v.vouch.Table.Lookup(key))
	}
	s.settle(&v, time.Now())
	return v
}

// open reads a code and checks all that can be checked without the table. It reports whether the table of v.vouch is to be asked for
// key; if not, v has its outcome.
func (s *Server) open(code []byte, by asker, v *verdict) (key cache.Key, ask bool) {
	var c passcode.Code
	if !passcode.Parse(code, &c) || c.Kind != passcode.Plain {
		v.outcome = malformedCode
		return key, false
	}
	if v.held = s.holdings()[string(c.Issuer())]; v.held == nil {
		v.outcome = issuerNotHeld
		return key, false
	}
	vouch := v.held.vouch.Load()
	switch {
	case vouch == nil:
		v.outcome = notReady
	case vouch.PlainOff:
		v.outcome = plainForbidden
	default:
		v.vouch = vouch
		return vouch.Seed.Key(c.Subject()), true
	}
	return key, false
}

// found takes what the table says.
func (v *verdict) found(r cache.Record, ok bool) {
	v.record = r
	if !ok {
		v.outcome = unknownSubject
	}
}

// settle ends a verdict at now, a clock that was read after the table was, and counts it. That a subject is not there is also a word
// of the table's, and no better than its age.
func (s *Server) settle(v *verdict, now time.Time) {
	v.now = now
	switch {
	case v.vouch == nil:
	case v.vouch.tooStale(now):
		v.outcome = tooStale
	case v.outcome == judged:
		v.outcome = statusAt(v.record, now.Unix())
	}
	s.count(v)
}

// count adds a verdict to the scans of its issuer, or of none that is held.
func (s *Server) count(v *verdict) {
	c := &s.elsewhere
	if v.held != nil {
		c = v.held.counts
	}
	c[v.outcome].Inc()
}
