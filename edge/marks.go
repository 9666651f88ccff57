package edge

import (
	"math/bits"
	"sync/atomic"

	"github.com/scanedge/scanedge/cache/memo"
)

// marks are when codes were shown first. They are a table of one size: a mark is a word, eight of them lie in a cache line, and a new one
// takes the place of the oldest of its line when that is full. So a mark costs one line, no lock and no other memory, where an entry
// of package memo costs four, and an index.
//
//	63          22 21          0
//	+-------------+-------------+
//	| part of the | ms, modulo  |    0: there is none
//	| code's name | 70 minutes  |
//	+-------------+-------------+
//
// A code lives for 20 minutes and a half at most, so there is one way to read the time. Of a name 42 bits are kept, less one, and the line
// is chosen by others: a code that was never shown is taken for one that was in 4 cases of a million million.
//
// Of those who show one code at once one is the first. The zero marks remember nothing. Safe for concurrent use.
type marks struct {
	lines []markLine // as many as a power of two

	hits, misses, evicted, entries atomic.Uint64
}

type markLine [8]atomic.Uint64

const (
	markTimeBits = 22
	markTime     = 1<<markTimeBits - 1
	fewestLines  = 1 << 10
	mostLines    = 1 << markTimeBits // there is no more of a name to choose a line by
)

// newMarks returns marks in at most so many bytes, but for a few; with none they remember nothing.
func newMarks(bytes int) *marks {
	if bytes <= 0 {
		return new(marks)
	}
	lines := 1 << (bits.Len(uint(bytes/64)|1) - 1)
	return &marks{lines: markMemory(min(max(lines, fewestLines), mostLines))}
}

// mark marks the code of that name, which must be as good as random, at a time in milliseconds since 1970, and says how many milliseconds
// ago it was marked, if it was.
func (m *marks) mark(name uint64, now int64) (ago int64, seen bool) {
	if len(m.lines) == 0 {
		return 0, false
	}
	line := &m.lines[name&uint64(len(m.lines)-1)]
	tag := name&^markTime | 1<<markTimeBits // never zeros, so that no mark is
	word := tag | uint64(now)&markTime
	for {
		at, old, ago, seen := line.find(tag, now)
		if seen {
			m.hits.Add(1)
			return ago, true
		}
		if !line[at].CompareAndSwap(old, word) {
			continue // somebody was faster, perhaps with this code: all choose the same place
		}
		m.misses.Add(1)
		if old == 0 {
			m.entries.Add(1)
		} else {
			m.evicted.Add(1)
		}
		return 0, false
	}
}

// find finds a mark, or the place for it: an empty one, or that of the oldest.
func (l *markLine) find(tag uint64, now int64) (at int, old uint64, ago int64, seen bool) {
	oldest := int64(-markAhead - 1)
	for i := range l {
		word := l[i].Load()
		if word&^markTime == tag {
			return i, word, max(0, markAge(word, now)), true
		}
		age := markAge(word, now)
		if word == 0 {
			age = markTime + 1
		}
		if age > oldest {
			at, old, oldest = i, word, age
		}
	}
	return at, old, 0, false
}

// markAge is how old a mark is at now, in milliseconds. It may be a little ahead, for another's clock was.
func markAge(word uint64, now int64) int64 { return (now+markAhead-int64(word))&markTime - markAhead }

// markAhead is by how much, in milliseconds.
const markAhead = 60_000

// Stats are what the marks have done, as a memo says it.
func (m *marks) Stats() memo.Stats {
	entries, size := m.entries.Load(), uint64(len(m.lines))*64
	return memo.Stats{
		Hits: m.hits.Load(), Misses: m.misses.Load(), Evicted: m.evicted.Load(), Entries: entries, Bytes: min(entries*64, size), MaxBytes: size,
	}
}
