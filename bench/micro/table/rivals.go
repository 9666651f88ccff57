package table

import (
	"encoding/binary"
	"runtime/debug"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/puzpuzpuz/xsync/v4"
)

// rivalMost is the largest size at which rivals are filled.
const rivalMost = 200_000_000

// rival is another store: 64-bit keys, the low halves of ours, and 32-bit values, the records. All are told their size ahead.
type rival struct {
	name            string
	bytesPerSubject uint64 // that it may need at most while it is filled

	// fill makes one with subjects 0 to n-1 and returns the loop of independent lookups of them.
	fill func(n uint64, done func(uint64)) loop
}

var rivals = map[string]rival{
	"fastcache": {"fastcache", 64, fillFastcache},
	"map":       {"map", 48, fillMap},
	"xsync":     {"xsync", 64, fillXsync},
}

// rivalNames are the rivals in the order in which they are shown.
var rivalNames = []string{"fastcache", "map", "xsync"}

// beside measures a rival and, in turns with it, a table. Rivals are filled beside each other, and measured one by one.
func (j *job) beside(rv rival) error {
	debug.SetGCPercent(-1) // no collection while it is timed; one is made below
	memory, err := j.baseline()
	run := rv.fill(j.Subjects, func(n uint64) { j.progress("filling the rivals", 0.8*float64(n)/float64(j.Subjects)) })
	if err == nil {
		debug.FreeOSMemory() // the rival without the garbage of its filling
		j.r.Rivals[rv.name] = Rival{Bytes: memory.above() / float64(j.Subjects)}
	}
	j.await()
	defer pin(readerCore)()
	t, err := j.read()
	if err != nil {
		return err
	}
	l := &lookups{table: t, subjects: j.Subjects}
	return j.contest("lookups beside "+rv.name, 0.8, 1,
		&contender{name: rv.name, run: run}, &contender{name: besideRival + rv.name, run: l.stream})
}

// each calls put for subjects 0 to n-1, and done now and then.
func each(n uint64, done func(uint64), put func(i uint64)) {
	step := n/50 + 1
	for i := uint64(0); i < n; i++ {
		if i%step == 0 {
			done(i)
		}
		put(i)
	}
}

func fillFastcache(n uint64, done func(uint64)) loop {
	const entry, rings, slack = 16, 512, 256 << 10 // bytes of an entry; where they lie; room so that no ring overwrites any
	c := fastcache.New(int(n*entry*9/8 + rings*slack))
	var k [8]byte
	v := make([]byte, 4)
	each(n, done, func(i uint64) {
		binary.LittleEndian.PutUint64(k[:], lowOf(i))
		binary.LittleEndian.PutUint32(v, uint32(recordOf(i, 0)))
		c.Set(k[:], v)
	})
	var keys block
	return func(from uint64, ops int) (sum, wrong uint64) {
		for i := 0; i < ops; i += blockKeys {
			keys.draw(from+uint64(i), n, 0)
			for _, key := range keys {
				binary.LittleEndian.PutUint64(k[:], key.Lo)
				if v = c.Get(v[:0], k[:]); len(v) != 4 {
					wrong++
					continue
				}
				sum += uint64(binary.LittleEndian.Uint32(v))
			}
		}
		return sum, wrong
	}
}

func fillMap(n uint64, done func(uint64)) loop {
	m := make(map[uint64]uint32, n)
	each(n, done, func(i uint64) { m[lowOf(i)] = uint32(recordOf(i, 0)) })
	var keys block
	return func(from uint64, ops int) (sum, wrong uint64) {
		for i := 0; i < ops; i += blockKeys {
			keys.draw(from+uint64(i), n, 0)
			for _, key := range keys {
				r, ok := m[key.Lo]
				if !ok {
					wrong++
				}
				sum += uint64(r)
			}
		}
		return sum, wrong
	}
}

func fillXsync(n uint64, done func(uint64)) loop {
	m := xsync.NewMap[uint64, uint32](xsync.WithPresize(int(n)))
	each(n, done, func(i uint64) { m.Store(lowOf(i), uint32(recordOf(i, 0))) })
	var keys block
	return func(from uint64, ops int) (sum, wrong uint64) {
		for i := 0; i < ops; i += blockKeys {
			keys.draw(from+uint64(i), n, 0)
			for _, key := range keys {
				r, ok := m.Load(key.Lo)
				if !ok {
					wrong++
				}
				sum += uint64(r)
			}
		}
		return sum, wrong
	}
}
