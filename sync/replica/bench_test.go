package replica

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

// BenchmarkCatchUp applies records as they lie in the log, each hashed and held to the chain, to a table of so many subjects that all
// are there already. SCANEDGE_SUBJECTS=10000000,100000000 names other sizes than 10 million. One core.
func BenchmarkCatchUp(b *testing.B) {
	runtime.GOMAXPROCS(1)
	sizes := []int{10_000_000}
	if env := os.Getenv("SCANEDGE_SUBJECTS"); env != "" {
		n, err := strconv.Atoi(env)
		if err != nil {
			b.Fatal(err)
		}
		sizes = []int{n}
	}
	for _, subjects := range sizes {
		var table cache.Table
		fillTable(&table, subjects)
		for _, size := range []int{6_000, 200_000} {
			b.Run(fmt.Sprintf("%dM/%d", subjects/1_000_000, size), func(b *testing.B) { catchUp(b, &table, subjects, size) })
		}
	}
}

// subjectKey is a key as random as a seed makes them, for less.
func subjectKey(i int) cache.Key {
	r := rand.NewPCG(uint64(i), 7)
	return cache.Key{Hi: r.Uint64(), Lo: r.Uint64()}
}

func fillTable(table *cache.Table, subjects int) {
	run := make([]cache.Delta, 0, 4096)
	for i := range subjects {
		run = append(run, cache.Delta{Key: subjectKey(i), Record: green})
		if len(run) == cap(run) || i == subjects-1 {
			table.PutMany(run)
			run = run[:0]
		}
	}
}

func catchUp(b *testing.B, table *cache.Table, subjects, size int) {
	const records = 16
	c := newChain(b)
	entries := make([]entry, records)
	deltas := make([]cache.Delta, size)
	for i := range entries {
		for j := range deltas {
			deltas[j] = cache.Delta{Key: subjectKey(rand.IntN(subjects)), Record: cache.Record(rand.Uint32N(1<<24)) | 1}
		}
		entries[i] = c.link(issuer.Batch, delta.AppendBatch(nil, delta.Info{Pusher: "push"}, deltas))
	}
	pub, newest, now := c.secret.Public(), new(mark), time.Now()
	k := trackOf(table, "", nil)
	began := time.Now()
	n := 0
	for i := 0; b.Loop(); i++ {
		if i%records == 0 {
			k.at, k.sure, k.seq = cache.Position{}, cache.Position{}, 0
		}
		if _, err := k.take(entries[i%records], pub, newest, now); err != nil {
			b.Fatal(err)
		}
		n += size
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds()/1e6, "Mdeltas/s")
}
