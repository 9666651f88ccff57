package memo

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// Each key has one writer, whose values count up and say their key and their end.
const (
	writers, keysWritten, rounds, valueLen = 2, 40, 300, 2000
)

func write(m *Memo, w uint64, clock *atomic.Int64, resets bool) {
	value, key := make([]byte, valueLen), make([]byte, 8)
	for seq := range uint64(rounds) {
		for k := w; k < keysWritten; k += writers {
			expires := clock.Add(1) + int64(seq%7)*20
			binary.LittleEndian.PutUint64(value, k)
			binary.LittleEndian.PutUint64(value[8:], seq)
			binary.LittleEndian.PutUint64(value[16:], uint64(expires))
			binary.LittleEndian.PutUint64(key, k)
			m.Put(key, value, expires)
			for i := range uint64(3) { // pushes others out
				binary.LittleEndian.PutUint64(key, 1000+(seq*keysWritten+k)*3+i)
				m.Put(key, value, 0)
			}
		}
		if resets && seq%50 == 49 {
			m.Reset()
		}
	}
}

func read(t *testing.T, m *Memo, g uint64, clock *atomic.Int64, done *atomic.Bool) {
	var seen [keysWritten]uint64
	var buf, key []byte
	for rnd := rand.New(rand.NewPCG(g, 1)); !done.Load(); {
		k, now := rnd.Uint64N(keysWritten), clock.Load()
		key = binary.LittleEndian.AppendUint64(key[:0], k)
		v, ok := m.Get(buf[:0], key, now)
		if !ok {
			continue
		}
		buf = v
		is, seq := binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[8:])
		expires := int64(binary.LittleEndian.Uint64(v[16:]))
		if len(v) != valueLen || is != k || seq < seen[k] || expires <= now {
			t.Errorf("key %d after %d at %d: that of key %d, %d, until %d", k, seen[k], now, is, seq, expires)
			return
		}
		seen[k] = seq
	}
}

// Readers see no value of another key, none past its end and none older than one seen before, while the rings come round and
// the memo is reset beside them.
func TestReadersBesideWriters(t *testing.T) {
	for _, resets := range []bool{false, true} {
		t.Run(fmt.Sprintf("resets=%v", resets), func(t *testing.T) {
			m := newMemo(t)
			var clock atomic.Int64
			var done atomic.Bool
			var writing, reading sync.WaitGroup
			for i := range uint64(writers) {
				writing.Go(func() { write(m, i, &clock, resets && i == 0) })
				reading.Go(func() { read(t, m, i, &clock, &done) })
			}
			reading.Go(func() {
				for last := (Stats{}); !done.Load(); {
					s := m.Stats()
					falls := s.Hits < last.Hits || s.Misses < last.Misses || s.Evicted < last.Evicted
					if falls && !resets || s.Bytes > s.MaxBytes || s.Damaged != 0 {
						t.Errorf("%+v after %+v", s, last)
					}
					last = s
				}
			})
			writing.Wait()
			done.Store(true)
			reading.Wait()
			// Each key was put afresh at least once, and what is not held was pushed out.
			const put = keysWritten*rounds*3 + keysWritten
			if s := m.Stats(); !resets && (s.Hits == 0 || s.Expired == 0 || s.Evicted == 0 || s.Evicted+s.Entries < put) {
				t.Errorf("%+v: the run shows too little", s)
			}
		})
	}
}
