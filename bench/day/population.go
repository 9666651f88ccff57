package day

import (
	"strconv"

	"github.com/scanedge/scanedge"
)

// Population is the demo subjects that a fleet was given: Subjects of them split evenly over the issuers, the first ones
// taking what is left over; in each d000000001, d000000002, and so on.
type Population struct {
	Issuers  []string // at least one
	Subjects uint64   // over all issuers; at least one
}

// Size returns how many subjects the issuer at place k has.
func (p Population) Size(k int) uint64 {
	n := uint64(len(p.Issuers))
	size := p.Subjects / n
	if uint64(k) < p.Subjects%n {
		size++
	}
	return size
}

// At returns subject number i of all, from 0 up to Subjects: its issuer's place, and its number there, from 1.
func (p Population) At(i uint64) (k int, number uint64) {
	n := uint64(len(p.Issuers))
	return int(i % n), i/n + 1
}

// Name returns the id of a subject's number.
func Name(number uint64) string { return string(appendName(nil, number)) }

func appendName(b []byte, number uint64) []byte {
	b = append(b, 'd')
	for least := uint64(100_000_000); least > number && least > 1; least /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendUint(b, number, 10)
}

// StatusOf is the rule that gives a subject's number its status.
func StatusOf(number uint64) scanedge.Status {
	switch number % 100 {
	case 7:
		return scanedge.Yellow
	case 13:
		return scanedge.Red
	case 21:
		return scanedge.Void
	case 29:
		return scanedge.Lapsed
	}
	return scanedge.Green
}
