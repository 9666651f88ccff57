package memo

import (
	"encoding/binary"
	"testing"

	"github.com/VictoriaMetrics/fastcache"
)

// The memo beside bare fastcache in the same run: 200,000 keys of 16 bytes in a memo that holds them all, or of which a put
// pushes the oldest out.
func Benchmark(b *testing.B) {
	const n = 200_000
	keys := make([][]byte, 2*n)
	for i := range keys {
		keys[i] = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(i)), 7)
	}
	value := make([]byte, 32)
	m, bare := newMemo(b), fastcache.New(1)
	defer bare.Reset()
	for _, k := range keys[:n] {
		m.Put(k, value, 1)
		bare.Set(k, value)
	}
	at := func(i int) int { return i * 7919 % n }
	buf := make([]byte, 0, 64)
	for _, c := range []struct {
		name string
		do   func(i int)
	}{
		{"Get/hit/memo", func(i int) { buf, _ = m.Get(buf[:0], keys[at(i)], 0) }},
		{"Get/hit/fastcache", func(i int) { buf, _ = bare.HasGet(buf[:0], keys[at(i)]) }},
		{"Get/miss/memo", func(i int) { buf, _ = m.Get(buf[:0], keys[n+at(i)], 0) }},
		{"Get/miss/fastcache", func(i int) { buf, _ = bare.HasGet(buf[:0], keys[n+at(i)]) }},
		{"Get/expired/memo", func(i int) { buf, _ = m.Get(buf[:0], keys[at(i)], 1) }},
		{"Put/memo", func(i int) { m.Put(keys[at(i)], value, 1) }},
		{"Put/fastcache", func(i int) { bare.Set(keys[at(i)], value) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.do(i)
			}
		})
	}
	b.Run("Get/hit/parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			buf := make([]byte, 0, 64)
			for i := 0; pb.Next(); i++ {
				buf, _ = m.Get(buf[:0], keys[at(i)], 0)
			}
		})
	})
}
