package load

import (
	"sync/atomic"
	"time"
)

// MaxBursts is by how much what was sent may differ from the plan, counted by [burstBin]: the share of visits that would have
// to be sent in another bin to follow it (the total variation distance, an effect size; at these counts a test's p-value would
// refuse any run). A millisecond's lag of all moves a tenth of them over the end of a bin.
const MaxBursts = 0.25

const (
	burstBin  = 10 * time.Millisecond
	burstBins = 1 << 12 // kept: 40 s, so a bin is long complete when it is counted, and counted long before it is used again
)

// bursts counts what is sent by short bins, in memory that does not grow.
type bursts struct {
	schedule Schedule
	bins     [burstBins]atomic.Uint32

	// Of who counts:
	next    int // bin that is to be compared
	planned uint64
	off     uint64 // sum of the differences
	all     uint64 // visits that were sent
}

// add counts visits sent at a time of the run.
func (b *bursts) add(now time.Duration, n uint64) {
	b.bins[int(now/burstBin)%burstBins].Add(uint32(n))
}

// compare compares all bins that ended before a time of the run with the plan.
func (b *bursts) compare(now time.Duration) {
	for ; time.Duration(b.next+1)*burstBin <= now; b.next++ {
		sent := uint64(b.bins[b.next%burstBins].Swap(0))
		due := b.schedule.DueBy(time.Duration(b.next+1)*burstBin - 1)
		planned := due - b.planned
		b.planned, b.all = due, b.all+sent
		b.off += max(sent, planned) - min(sent, planned)
	}
}

// distance is the share of visits that were sent in another bin than was planned.
func (b *bursts) distance() float64 {
	if b.planned+b.all == 0 {
		return 0
	}
	return float64(b.off) / float64(b.planned+b.all)
}
