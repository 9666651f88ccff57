package edge

import (
	"fmt"
	"strconv"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
)

// appendLine appends the verdict as a line of a batch's answer: the word, a scanedge.Verdict, or the word of what kept the code from one.
// It was settled at that moment.
func (v *verdict) appendLine(b []byte, text bool, at *moment) []byte {
	switch {
	case text:
		b = append(b, v.outcome.String()...)
	case v.outcome.refused():
		b = append(b, `{"error":"`...)
		b = append(b, v.outcome.String()...)
		b = append(v.appendAhead(append(b, '"')), '}')
	default:
		b = v.appendRecord(b)
		if at.of(v.vouch); len(at.tail) == 0 {
			at.tail = v.vouch.appendTail(at.tail, at.ageMS)
		}
		b = v.appendSeen(append(b, at.tail...))
	}
	return append(b, '\n')
}

// appendJSON appends a verdict that has a status as a scanedge.Verdict. Issuers and words need no escaping.
func (v *verdict) appendJSON(b []byte) []byte {
	return v.appendSeen(v.vouch.appendTail(v.appendRecord(b), v.ageMS))
}

// appendRecord appends what is of the code's own.
func (v *verdict) appendRecord(b []byte) []byte {
	b = append(b, v.held.begin...)
	b = append(b, v.outcome.String()...)
	b = append(b, '"')
	if until, ok := v.record.Until(); ok {
		b = append(b, `,"until":"`...)
		b = until.AppendFormat(b, time.RFC3339)
		b = append(b, '"')
	}
	if r := v.record.Reason(); r != 0 {
		b = append(b, `,"reason":`...)
		b = strconv.AppendUint(b, uint64(r), 10)
	}
	return b
}

// appendTail appends what is of the table as a whole, at that age.
func (v *Vouch) appendTail(b []byte, ageMS int64) []byte {
	b = append(b, v.tail...)
	b = strconv.AppendInt(b, ageMS, 10)
	if v.staleAt(ageMS) {
		b = append(b, `,"stale":true`...)
	}
	return b
}

// appendSeen appends what is of the code's own showing, and ends the verdict.
func (v *verdict) appendSeen(b []byte) []byte {
	if v.seen {
		b = append(b, `,"seen_ms_ago":`...)
		b = strconv.AppendInt(b, v.seenMS, 10)
	}
	return append(b, '}')
}

// appendAhead appends by how much the code's clock is ahead, as a further member, if that is what is wrong with it.
func (v *verdict) appendAhead(b []byte) []byte {
	if v.outcome != clockAhead {
		return b
	}
	return strconv.AppendInt(append(b, `,"ahead_s":`...), v.code.Ahead(v.now.Unix()), 10)
}

// appendProblem appends what kept the code from a status, as a problem.
func (v *verdict) appendProblem(b []byte) []byte {
	body := problemBodies[v.outcome.problem()]
	return append(v.appendAhead(append(b, body[:len(body)-1]...)), '}')
}

// problemBodies are the problems of scans, written once.
var problemBodies = func() map[scanedge.ProblemType][]byte {
	m := map[scanedge.ProblemType][]byte{}
	for t, detail := range map[scanedge.ProblemType]string{
		scanedge.MalformedCode: fmt.Sprintf("a plain code is issuer:subject, an issuer of 1 to %d of a-z, 0-9 and '-', a subject of 1 to %d "+
			"bytes of UTF-8 without control characters, percent-encoded in a URL; others begin with SE1. or SS1., all in upper case",
			cache.MaxIssuer, cache.MaxSubject),
		scanedge.NoKey:             "send a scanner key that this edge knows as Authorization: Bearer …; without one, only a rolling code is answered",
		scanedge.UnknownSubject:    "",
		scanedge.IssuerNotHeld:     "",
		scanedge.PlainForbidden:    "a code that is issuer:subject proves nothing of its bearer; this issuer wants codes that do",
		scanedge.ForgedCode:        "no key that the issuer uses now makes this code; if many phones' codes are refused, their secrets may be of a key that was changed",
		scanedge.CodeExpired:       "show a new one; if new ones are refused too, the clock of the phone that makes them is behind",
		scanedge.ClockAhead:        "the clock of the phone that made it is ahead by ahead_s seconds or more: set it, and show a new code",
		scanedge.NotYetValid:       "",
		scanedge.Behind:            "this edge has not reached the offset of Scanedge-Min-Offset yet; scan again in a moment, or at another edge",
		scanedge.BadMinOffset:      "Scanedge-Min-Offset is an offset, or offsets of issuers: demo-a=12, demo-b=7",
		scanedge.NotReady:          "scan again in a moment, or at another edge",
		scanedge.TooStale:          "this edge has not heard from the origin for longer than the issuer allows; scan at another edge",
		scanedge.Overloaded:        "scan at another edge, or wait as Retry-After says",
		scanedge.TooManyCodes:      fmt.Sprintf("at most %d lines in one request", maxCodes),
		scanedge.TooLarge:          fmt.Sprintf("at most %d bytes in one request", maxBody),
		scanedge.UnsupportedCoding: "send the codes as they are",
		scanedge.NotFound:          "GET /v1/scan/{code} or POST /v1/scan",
		scanedge.MethodNotAllowed:  "GET /v1/scan/{code} or POST /v1/scan",
		scanedge.TooFast:           "this key or address may scan no faster; scan again after Retry-After",
		scanedge.LockedOut:         "scan again after Retry-After, codes that were issued",
		scanedge.BadRequest:        "",
	} {
		m[t] = scanedge.NewProblem(t, detail).JSON()
	}
	return m
}()
