package table

import (
	"math/bits"

	"github.com/scanedge/scanedge/cache"
)

// The names of loops in Result.Rounds. A rival's has the rival's name, and the table's in turns with it that with besideRival
// before it.
const (
	loopKeys       = "keys"
	loopChase      = "chase"
	loopChain      = "chain"
	loopLines      = "lines"
	loopStream     = "stream"
	loopBatch      = "batch"
	loopMiss       = "miss"
	loopAlone      = "alone"
	loopBeside     = "beside a writer"
	loopPuts       = "puts"
	loopSinglePuts = "single puts"
	besideRival    = "beside "
)

// blockKeys are made ahead of the lookups that they are for: among them, making keys would take the place of lookups in what the
// processor can look ahead over, and so make a stream of any store slower by more than its own time.
const blockKeys = 256

type block [blockKeys]cache.Key

// draw makes the keys of subjects at random, of n that there are; plus is added to their numbers.
func (b *block) draw(from, n, plus uint64) {
	for i := range b {
		b[i] = keyOf(draw(mix(from+uint64(i)), n) + plus)
	}
}

// lookups are the loops over a table.
type lookups struct {
	table    *cache.Table
	subjects uint64
	keys     block
	recs     [blockKeys]cache.Record
}

// empty is what the loops below do beside looking up.
func (l *lookups) empty(from uint64, ops int) (sum, _ uint64) {
	for i := 0; i < ops; i += blockKeys {
		l.keys.draw(from+uint64(i), l.subjects, 0)
		for _, k := range l.keys {
			sum += k.Hi ^ k.Lo
		}
	}
	return sum, 0
}

func (l *lookups) stream(from uint64, ops int) (sum, wrong uint64) {
	for i := 0; i < ops; i += blockKeys {
		l.keys.draw(from+uint64(i), l.subjects, 0)
		for _, k := range l.keys {
			r, ok := l.table.Lookup(k)
			if !ok {
				wrong++
			}
			sum += uint64(r)
		}
	}
	return sum, wrong
}

// chain makes each key when the record before is known, and not before.
func (l *lookups) chain(from uint64, ops int) (sum, wrong uint64) {
	r, ok := cache.Record(0), false
	for i := from; i < from+uint64(ops); i++ {
		if r, ok = l.table.Lookup(keyOf(draw(mix(i^uint64(r)<<32), l.subjects))); !ok {
			wrong++
		}
		sum += uint64(r)
	}
	return sum, wrong
}

func (l *lookups) batch(from uint64, ops int) (sum, wrong uint64) {
	for i := 0; i < ops; i += blockKeys {
		l.keys.draw(from+uint64(i), l.subjects, 0)
		l.table.LookupMany(l.keys[:], l.recs[:])
		for _, r := range l.recs {
			if r == cache.Removed {
				wrong++
			}
			sum += uint64(r)
		}
	}
	return sum, wrong
}

func (l *lookups) miss(from uint64, ops int) (sum, wrong uint64) {
	for i := 0; i < ops; i += blockKeys {
		l.keys.draw(from+uint64(i), l.subjects, absent)
		for _, k := range l.keys {
			r, ok := l.table.Lookup(k)
			if ok {
				wrong++
			}
			sum += uint64(r)
		}
	}
	return sum, wrong
}

// lines are the cache lines of a table's memory, a slice a shard. Shards are of one size but for a few lines, so that drawing
// a shard and then a line in it draws among all lines evenly; it is also how a lookup comes by its line.
type lines [][]uint64

const lineWords = 8

func linesOf(t *cache.Table) (l lines) {
	for _, words := range t.Memory() {
		if len(words) >= lineWords {
			l = append(l, words)
		}
	}
	return l
}

// read reads the first word of the line that 64 random bits name.
func (l lines) read(random uint64) uint64 {
	shard, rest := bits.Mul64(random, uint64(len(l)))
	words := l[shard]
	return words[draw(rest, uint64(len(words)/lineWords))*lineWords]
}

// independent makes random numbers ahead as the streams of lookups make keys, but is spared the rest of a key's arithmetic.
func (l lines) independent(from uint64, ops int) (sum, _ uint64) {
	var random [blockKeys]uint64
	for i := 0; i < ops; i += blockKeys {
		for j := range random {
			random[j] = mix(from + uint64(i+j))
		}
		for _, r := range random {
			sum += l.read(r)
		}
	}
	return sum, 0
}

func (l lines) chase(from uint64, ops int) (sum, _ uint64) {
	word := uint64(0)
	for i := from; i < from+uint64(ops); i++ {
		word = l.read(mix(i ^ word<<32))
		sum += word
	}
	return sum, 0
}
