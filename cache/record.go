package cache

import (
	"fmt"
	"time"
)

// Status is what a stored record says. Lapsed is not among them: it is read, never stored.
type Status uint8

// The statuses as they are stored.
const (
	Green Status = iota
	Yellow
	Red
	Void
)

var statusWords = [...]string{"green", "yellow", "red", "void"}

// String is the status's word.
func (s Status) String() string { return statusWords[s&3] }

// Lapsed is the word that an expired record reads as.
const Lapsed = "lapsed"

// ParseStatus reads a status's word. It allocates nothing.
func ParseStatus(word []byte) (Status, bool) {
	for s, w := range statusWords {
		if string(word) == w {
			return Status(s), true
		}
	}
	return 0, false
}

// Record is a subject's status, reason and the time until which it holds:
//
//	bits 31-30  status  0 green, 1 yellow, 2 red, 3 void
//	bits 29-24  reason  0 to 63, the issuer's own meaning; 0 is none
//	bits 23-0   until   minutes since 2020-01-01T00:00Z; all ones: without end
//
// Until is rounded down to the minute: a record may lapse up to 59 seconds early, never late.
type Record uint32

const (
	untilNone = 1<<24 - 1
	// Removed is the record of a removal. Its bits are a void record whose until is one minute past MaxUntil, so no push makes it.
	Removed Record = 3<<30 | (untilNone - 1)
	// MaxReason is the largest reason.
	MaxReason = 63
)

var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// MaxUntil is the last minute that a record can name: in November 2051.
var MaxUntil = epoch.Add((untilNone - 2) * time.Minute)

// NewRecord packs a record. The zero until means without end; one before 2020 becomes the first minute of 2020, which lapsed
// long ago either way. It refuses a reason over MaxReason and an until after MaxUntil.
func NewRecord(s Status, reason uint8, until time.Time) (Record, error) {
	if reason > MaxReason {
		return 0, fmt.Errorf("reason %d; at most %d", reason, MaxReason)
	}
	minutes := int64(untilNone)
	if !until.IsZero() {
		minutes = max(0, (until.Unix()-epoch.Unix())/60)
		if minutes > untilNone-2 {
			return 0, fmt.Errorf("%s is too far; at most %s", until.Format(time.RFC3339), MaxUntil.Format(time.RFC3339))
		}
	}
	return Record(s)<<30 | Record(reason)<<24 | Record(minutes), nil
}

// Status returns the stored status, whether or not the record has lapsed.
func (r Record) Status() Status { return Status(r >> 30) }

// Reason returns the reason, 0 to 63.
func (r Record) Reason() uint8 { return uint8(r>>24) & MaxReason }

// Until returns the time until which the record holds, in UTC, and whether it has an end at all.
func (r Record) Until() (time.Time, bool) {
	m := r & untilNone
	if m == untilNone {
		return time.Time{}, false
	}
	return epoch.Add(time.Duration(m) * time.Minute), true
}

// LapsedAt reports whether the record has lapsed at a time given in seconds since 1970: its until is not after that time.
func (r Record) LapsedAt(unix int64) bool {
	m := r & untilNone
	return m != untilNone && epoch.Unix()+int64(m)*60 <= unix
}

// Word is the status's word at a time given in seconds since 1970: the stored one's, or lapsed.
func (r Record) Word(unix int64) string {
	if r.LapsedAt(unix) {
		return Lapsed
	}
	return r.Status().String()
}

// String reads like "red reason 3 until 2026-01-01T00:00:00Z".
func (r Record) String() string {
	if r == Removed {
		return "removed"
	}
	s := r.Status().String()
	if r.Reason() != 0 {
		s += fmt.Sprintf(" reason %d", r.Reason())
	}
	if t, ok := r.Until(); ok {
		s += " until " + t.Format(time.RFC3339)
	}
	return s
}
