// Package memo is what an edge may forget: answers that were dear to get and are cheap to get again.
//
// It is for the verdicts on expensive signatures, and for answers read through from elsewhere. Each entry has its own end, decided
// when it is put. Statuses that open a gate do not belong here: they must never vanish, and live in the table of package cache.
//
// A [Memo] is fastcache, which keeps entries in rings of bytes outside the Go heap and overwrites the oldest, with an end and
// a checksum added to each value (value.go).
//
// # What holds
//
//   - A Get returns the value that was last put under that very key, or nothing, never another key's. fastcache finds an
//     entry by a 64-bit hash and then compares the whole key: of two keys with one hash the later displaces the earlier.
//   - A value is not returned at its end or after, by the clock that the caller passes to Get. Nothing is deleted at its end:
//     if that clock goes back, the value may be there again.
//   - A value that was cut or damaged in memory, or whose key was, fails its 64-bit checksum and reads as a miss.
//   - Nothing lies between processes: an entry lives no longer than the process does.
//
// # What does not
//
//   - That an entry is still there. Every Put may overwrite others long before their end.
//   - Defence against chosen keys. fastcache's hash has no seed, so who chooses keys can make them displace each other, or
//     one that he wants forgotten. Pass what strangers choose through a keyed hash first, as cache.Seed.Key does.
//   - That the checksum withstands an attacker: it is there for failing memory.
//
// # Memory
//
// The rings have a size; memory is taken as they fill, 64 KiB at a time for each of 512, so 32 MiB is the least they can grow
// to. The index beside them is on the Go heap and has no limit of its own, but the rings bound it: it holds two laps of them
// at most. An entry takes 21 bytes more than its key and value in the rings, and 20 to 40 in the index. So 32 MiB keep 480,000
// entries with keys of 16 bytes and values of 32, beside an index of up to 28 MiB, before the collector takes its share.
package memo

import (
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/fastcache"
)

// MaxEntry is the largest that a key and its value may be together, in bytes: fastcache keeps an entry and the 4 bytes of its
// lengths within a chunk of 64 KiB.
const MaxEntry = 1<<16 - 1 - 4 - Overhead

// Memo is a bounded set of entries, safe for concurrent use. A nil Memo is one that is switched off: it forgets at once.
type Memo struct {
	cache *fastcache.Cache

	hits, misses, expired, damaged, refused atomic.Uint64

	fresh atomic.Uint64 // puts that found no entry of their key

	mu      sync.Mutex // guards evicted
	evicted uint64     // as Stats last said it
}

// New returns a memo whose rings take that many bytes, rounded up to a multiple of 32 MiB. Of none or fewer it makes a memo
// that is switched off: nil.
func New(bytes int) *Memo {
	if bytes <= 0 {
		return nil
	}
	return &Memo{cache: fastcache.New(bytes)}
}

// Get appends the value of key to dst and returns the result and true, or dst and false when the memo has none whose end is
// after now. The time is in nanoseconds since 1970.
//
// It allocates nothing if dst has room for the value and [Overhead] bytes more. Those bytes of dst's capacity are overwritten
// even by a miss, so the key must not lie in them.
func (m *Memo) Get(dst, key []byte, now int64) ([]byte, bool) {
	if m == nil {
		return dst, false
	}
	b, known := m.cache.HasGet(dst, key)
	if known {
		value, expires, intact := open(key, b[len(dst):])
		switch {
		case !intact:
			m.damaged.Add(1)
		case expires <= now:
			m.expired.Add(1)
		default:
			m.hits.Add(1)
			return b[:len(dst)+len(value)], true
		}
	}
	m.misses.Add(1)
	return dst, false
}

// Put stores a copy of value under key until expires, in nanoseconds since 1970, in place of what was there. An entry larger
// than [MaxEntry] is refused, and what was there is gone all the same: an outdated answer must not outlive the newer one.
// It allocates nothing for values of up to 256 bytes, but for the index as that grows.
func (m *Memo) Put(key, value []byte, expires int64) {
	if m == nil {
		return
	}
	if len(key)+len(value) > MaxEntry {
		m.refused.Add(1)
		m.cache.Del(key)
		return
	}
	known := m.cache.Has(key)
	var room [256 + Overhead]byte
	m.cache.Set(key, seal(room[:0], key, value, expires))
	if !known {
		// After the Set, so that Stats never sees a put before its entry and takes it for evicted.
		m.fresh.Add(1)
	}
}

// Reset forgets all entries and starts the counters at 0 again. It gives the rings' memory back to fastcache, which keeps it
// for the process's next memo and not for the system; the collector cannot do that, so Reset a memo before dropping it. Gets
// and Puts under way may still be counted.
func (m *Memo) Reset() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cache.Reset()
	for _, c := range []*atomic.Uint64{&m.hits, &m.misses, &m.expired, &m.damaged, &m.refused, &m.fresh} {
		c.Store(0)
	}
	m.evicted = 0
}

// Stats is what a memo has done since it was made or reset, and what it holds.
type Stats struct {
	Hits    uint64 // Gets that returned a value
	Misses  uint64 // Gets that did not, whatever the reason
	Expired uint64 // misses that found an entry at or past its end
	Damaged uint64 // misses that found an entry whose checksum failed
	Refused uint64 // Puts larger than MaxEntry

	// Evicted counts the entries, expired ones among them, that went without a Put of their key: the ring came round to them,
	// another key with their hash displaced them, or a refused Put took them. It lags: a ring is swept once a lap, so up to a
	// lap of overwritten entries still count as Entries. Of two first Puts of a key at once it may take one for evicted.
	Evicted uint64
	Entries uint64 // entries in the index: the live, the expired, and those that the next sweep will find overwritten

	Bytes    uint64 // memory that the rings have taken
	MaxBytes uint64 // and will take at most; the index comes on top
}

// Stats returns the counters. None falls but by [Memo.Reset], except those of what the memo holds now. It takes each of 512
// locks in turn: call it by the second, not by the request.
func (m *Memo) Stats() Stats {
	if m == nil {
		return Stats{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := m.fresh.Load() // before the entries, or those put in between would be missing from them
	var s fastcache.Stats
	m.cache.UpdateStats(&s)
	if fresh > s.EntriesCount {
		m.evicted = max(m.evicted, fresh-s.EntriesCount)
	}
	return Stats{
		Hits: m.hits.Load(), Misses: m.misses.Load(), Expired: m.expired.Load(), Damaged: m.damaged.Load(),
		Refused: m.refused.Load(), Evicted: m.evicted, Entries: s.EntriesCount, Bytes: s.BytesSize, MaxBytes: s.MaxBytesSize,
	}
}
