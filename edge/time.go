package edge

import (
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Buckets of durations in nanoseconds: one up to 64 ns, then sixteen to each doubling up to a second, and one for all above. So a
// quantile is known within a sixteenth of itself.
const (
	firstDoubling = 6  // 64 ns
	lastDoubling  = 30 // 1.07 s
	shownDoubling = 24 // 16.8 ms: above it the metric has one bucket
	partsShift    = 4
	parts         = 1 << partsShift
	shownParts    = 4 // of the parts of a doubling, every fourth bound is shown
	timeBuckets   = 1 + (lastDoubling-firstDoubling)*parts + 1
)

// clockwork counts how long requests took inside the edge. It has a shard for each few processors, so that they do not pass one cache
// line around: counting costs two atomic additions, and no lock. Safe for concurrent use.
type clockwork struct {
	shards []timeShard // a power of two
}

type timeShard struct {
	counts [timeBuckets]atomic.Uint64
	sum    atomic.Uint64 // nanoseconds
	_      [64]byte
}

func newClockwork() *clockwork {
	n := 1 << bits.Len(uint(min(runtime.GOMAXPROCS(0), 64)-1))
	return &clockwork{make([]timeShard, n)}
}

// count adds one request that took d, on the connection of that number.
func (c *clockwork) count(conn uint64, d time.Duration) {
	s := &c.shards[conn&uint64(len(c.shards)-1)]
	s.counts[bucketOf(d)].Add(1)
	s.sum.Add(uint64(max(d, 0)))
}

// bucketOf is the bucket of a duration: bucket i holds what is above boundOf(i-1) and not above boundOf(i).
func bucketOf(d time.Duration) int {
	ns := uint64(max(d-1, 0))
	if ns < 1<<firstDoubling {
		return 0
	}
	doubling := bits.Len64(ns) - 1
	return min(1+(doubling-firstDoubling)*parts+int(ns>>(doubling-partsShift)&(parts-1)), timeBuckets-1)
}

// boundOf is the longest duration of a bucket other than the last.
func boundOf(bucket int) time.Duration {
	doubling, part := bucket/parts, bucket%parts
	return time.Duration(parts+part) << (firstDoubling + doubling - partsShift)
}

// Times is how long requests took inside the edge, as counts of buckets.
type Times struct {
	Counts []uint64      // by bucket
	Sum    time.Duration // of all
}

// ScanTimes returns how long the scans took that were answered since New, each from the entry of Handle to its end; batches are none.
func (s *Server) ScanTimes() Times { return s.scanTimes.read() }

func (c *clockwork) read() Times {
	t := Times{Counts: make([]uint64, timeBuckets)}
	for i := range c.shards {
		t.Sum += time.Duration(c.shards[i].sum.Load())
		for b := range t.Counts {
			t.Counts[b] += c.shards[i].counts[b].Load()
		}
	}
	return t
}

// Since returns what came after an earlier reading of the same server's.
func (t Times) Since(before Times) Times {
	after := Times{Counts: make([]uint64, len(t.Counts)), Sum: t.Sum - before.Sum}
	for i, n := range t.Counts {
		after.Counts[i] = n - before.Counts[i]
	}
	return after
}

// Count returns how many requests it is of.
func (t Times) Count() (n uint64) {
	for _, c := range t.Counts {
		n += c
	}
	return n
}

// Quantile returns a duration that the share q of the requests, 0 to 1, did not exceed, at most a sixteenth too long; a second for what
// took longer than that, and 0 for none.
func (t Times) Quantile(q float64) time.Duration {
	all, seen := t.Count(), uint64(0)
	for b, n := range t.Counts {
		if seen += n; seen > 0 && seen > min(uint64(q*float64(all)), all-1) {
			return boundOf(min(b, timeBuckets-2))
		}
	}
	return 0
}

// write writes the times as a Prometheus histogram in seconds.
func (c *clockwork) write(w io.Writer, name string) {
	metrics.WriteMetadataIfNeeded(w, name, "histogram")
	t, seen := c.read(), uint64(0)
	for b, n := range t.Counts {
		seen += n
		if b%shownParts == 0 && b <= (shownDoubling-firstDoubling)*parts {
			fmt.Fprintf(w, "%s_bucket{le=%q} %d\n", name, strconv.FormatFloat(boundOf(b).Seconds(), 'g', 6, 64), seen)
		}
	}
	fmt.Fprintf(w, "%s_bucket{le=\"+Inf\"} %d\n%s_sum %g\n%s_count %d\n", name, seen, name, t.Sum.Seconds(), name, seen)
}
