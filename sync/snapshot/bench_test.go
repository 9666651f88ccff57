package snapshot

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
)

const benchSubjects = 10_000_000

func benchTable(b *testing.B) *cache.Table {
	var t cache.Table
	deltas := make([]cache.Delta, 0, 1000)
	for i := range benchSubjects {
		deltas = append(deltas, cache.Delta{Key: secret.Seed.Key(fmt.Append(nil, i)), Record: cache.Record(i)})
		if len(deltas) == cap(deltas) {
			t.PutMany(deltas)
			deltas = deltas[:0]
		}
	}
	b.ResetTimer()
	return &t
}

func BenchmarkSnapshot(b *testing.B) {
	t := benchTable(b)
	s := open(b, b.TempDir())
	f := write(b, s, t, "")
	b.Run("Write/10M", func(b *testing.B) {
		b.SetBytes(f.Size())
		for b.Loop() {
			b.StopTimer()
			if err := s.Remove(f); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			f = write(b, s, t, "")
		}
	})
	b.Run("Load/10M", func(b *testing.B) {
		b.SetBytes(f.Size())
		for b.Loop() {
			var got cache.Table
			if err := s.Load(f, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Check/10M", func(b *testing.B) {
		b.SetBytes(f.Size())
		for b.Loop() {
			if err := s.Check(f); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a snapshot costs the puts beside it: batches of 100, with and without one being written.
func BenchmarkPutBesideWrite(b *testing.B) {
	t := benchTable(b)
	s := open(b, b.TempDir())
	for _, writing := range []bool{false, true} {
		b.Run(fmt.Sprintf("10M/writing=%v", writing), func(b *testing.B) {
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for writing {
					f := write(b, s, t, "")
					if err := s.Remove(f); err != nil {
						b.Error(err)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			var took []time.Duration
			deltas := make([]cache.Delta, 100)
			for i := 0; b.Loop(); i++ {
				for j := range deltas {
					deltas[j] = cache.Delta{Key: secret.Seed.Key(fmt.Append(nil, (i*100+j)%benchSubjects)), Record: cache.Record(i)}
				}
				began := time.Now()
				t.PutMany(deltas)
				took = append(took, time.Since(began))
				time.Sleep(100 * time.Microsecond)
			}
			close(stop)
			<-stopped
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "p99.9-µs")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
		})
	}
}
