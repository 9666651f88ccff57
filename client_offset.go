package scanedge

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// What is remembered of offsets, and sent of them in one request: an edge holds a few issuers, and a header has its bounds.
const (
	maxSeen     = 1024
	maxSeenSent = 40
)

// seen is the highest offset of each issuer that a client was answered from. It is safe for concurrent use.
type seen struct {
	mu sync.Mutex // guards
	of map[string]uint64
}

// see takes note of a verdict.
func (s *seen) see(v Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.of[v.Issuer]
	switch {
	case s.of == nil:
		s.of = map[string]uint64{}
	case known && v.Offset <= before, !known && len(s.of) >= maxSeen:
		return
	}
	s.of[strings.Clone(v.Issuer)] = v.Offset
}

func (s *seen) knows(issuer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.of[issuer]
	return known
}

// least is what is known of some issuers: below it they are not to be answered for.
func (s *seen) least(issuers ...string) least {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := least{}
	for _, id := range issuers {
		if offset, known := s.of[id]; known {
			l[id] = offset
		}
	}
	return l
}

// least is the offsets, by issuer, that the answers to one request must have reached.
type least map[string]uint64

// header says so to an edge.
func (l least) header() http.Header {
	if len(l) == 0 {
		return nil
	}
	var items []string
	for id, offset := range l {
		items = append(items, fmt.Sprintf("%s=%d", id, offset))
	}
	slices.Sort(items)
	return http.Header{"Scanedge-Min-Offset": {strings.Join(items, ", ")}}
}

// old is the problem of a verdict that is of before that, which an edge gives that does not know the header, or that a cache gives; nil if it
// is not.
func (l least) old(v Verdict) *Problem {
	if v.Offset >= l[v.Issuer] {
		return nil
	}
	return NewProblem(Behind, fmt.Sprintf("the answer is of offset %d of %s, and %d was seen before", v.Offset, v.Issuer, l[v.Issuer]))
}

// issuerOf is the issuer that a code names: before the colon of a plain one, and in upper case between the dots of others.
func issuerOf(code string) string {
	if kind, rest, ok := strings.Cut(code, "."); ok && (kind == "SE1" || kind == "SS1") {
		id, _, _ := strings.Cut(rest, ".")
		return strings.ToLower(id)
	}
	id, _, _ := strings.Cut(code, ":")
	return id
}
