package cache

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

var benchSizes = flag.String("subjects", "1000000", "how many subjects the tables of benchmarks hold, a list with commas")

// bySize runs a benchmark on tables of subjects 0 to n-1, at random places: see cheapKey. What a key costs, some 3 ns, is in
// every figure.
func bySize(b *testing.B, bench func(b *testing.B, t *Table, n uint64)) {
	for _, size := range strings.Split(*benchSizes, ",") {
		n, err := strconv.ParseUint(size, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		t := new(Table)
		for i := range n {
			t.Put(cheapKey(i), Record(i&untilNone))
		}
		b.Run(fmt.Sprintf("subjects=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			bench(b, t, n)
		})
	}
}

// stride visits subjects in no order that a processor could guess.
const stride = 0x9E3779B97F4A7C15

func BenchmarkLookup(b *testing.B) {
	bySize(b, func(b *testing.B, t *Table, n uint64) {
		b.Run("hit", func(b *testing.B) {
			for i := uint64(0); b.Loop(); i += stride {
				if _, ok := t.Lookup(cheapKey(i % n)); !ok {
					b.Fatal("missed")
				}
			}
		})
		b.Run("miss", func(b *testing.B) {
			for i := uint64(0); b.Loop(); i += stride {
				if _, ok := t.Lookup(cheapKey(n + i%n)); ok {
					b.Fatal("found")
				}
			}
		})
		b.Run("chain", func(b *testing.B) { // each waits for the one before
			i := uint64(0)
			for b.Loop() {
				r, _ := t.Lookup(cheapKey(i % n))
				i += stride + uint64(r)
			}
		})
	})
}

const batch = 1024

func BenchmarkLookupMany(b *testing.B) {
	bySize(b, func(b *testing.B, t *Table, n uint64) {
		keys, recs := make([]Key, batch), make([]Record, batch)
		for i, left := uint64(0), 0; b.Loop(); left-- {
			if left == 0 {
				for j := range keys {
					i += stride
					keys[j] = cheapKey(i % n)
				}
				t.LookupMany(keys, recs)
				left = batch
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	bySize(b, func(b *testing.B, t *Table, n uint64) {
		for i := uint64(0); b.Loop(); i += stride {
			t.Put(cheapKey(i%n), Record(i>>40))
		}
	})
}

func BenchmarkPutMany(b *testing.B) {
	bySize(b, func(b *testing.B, t *Table, n uint64) {
		deltas := make([]Delta, batch)
		for i, left := uint64(0), 0; b.Loop(); left-- {
			if left == 0 {
				for j := range deltas {
					i += stride
					deltas[j] = Delta{cheapKey(i % n), Record(i >> 40)}
				}
				t.PutMany(deltas)
				left = batch
			}
		}
	})
}

// BenchmarkGrow puts new subjects, one by one, into a table that is made anew when it has its size.
func BenchmarkGrow(b *testing.B) {
	bySize(b, func(b *testing.B, _ *Table, n uint64) {
		t := new(Table)
		for i := uint64(0); b.Loop(); i++ {
			if i%n == 0 {
				t = new(Table)
			}
			t.Put(cheapKey(i%n), 1)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "subjects/s")
	})
}
