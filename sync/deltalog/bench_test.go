package deltalog

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func benchLog(b *testing.B) *Log {
	b.Helper()
	s, err := StartServer(ServerConfig{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Stop)
	conn, err := s.Connect()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	l, err := conn.Create(b.Context(), "demo-a")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// random are n bytes that no disk can make smaller.
func random(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{})
	_, _ = src.Read(b)
	return b
}

const (
	small = 400      // a push of a few deltas
	large = 20 << 20 // a push of a million
)

// BenchmarkDisk is the floor: a file that is written and synced as often as the log.
func BenchmarkDisk(b *testing.B) {
	for _, n := range []int{small, large} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "f"))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			data := random(n)
			b.SetBytes(int64(n))
			for b.Loop() {
				if _, err := f.Write(data); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{small, 1 << 20, large} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			l, record := benchLog(b), random(n)
			var last uint64
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := l.Append(b.Context(), last, record); err != nil {
					b.Fatal(err)
				}
				last += Pieces(n)
			}
		})
	}
}

func BenchmarkAppendGroup(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 16, 32, 64, 256, MaxGroup} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			l, group := benchLog(b), make([][]byte, n)
			for i := range group {
				group[i] = random(small)
			}
			var last uint64
			for b.Loop() {
				if err := l.AppendGroup(b.Context(), last, group); err != nil {
					b.Fatal(err)
				}
				last += uint64(n)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	for _, bench := range []struct{ size, records int }{{small, 100_000}, {large, 20}} {
		b.Run(fmt.Sprintf("bytes=%d", bench.size), func(b *testing.B) {
			l, record := benchLog(b), random(bench.size)
			var last uint64
			for stored := 0; stored < bench.records; {
				group := [][]byte{record}
				for bench.size == small && len(group) < MaxGroup {
					group = append(group, record)
				}
				if err := l.AppendGroup(b.Context(), last, group); err != nil {
					b.Fatal(err)
				}
				last += uint64(len(group)) * Pieces(bench.size)
				stored += len(group)
			}
			b.SetBytes(int64(bench.size * bench.records))
			for b.Loop() {
				if _, err := l.Replay(b.Context(), 0, func(Entry) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*bench.records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
