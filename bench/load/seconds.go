package load

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"time"
)

// SecondsFile is the name of the log of seconds in a plan's folder.
const SecondsFile = "seconds.ndjson"

// Second is one line of the log of seconds: what happened in that second, not until then. The last one may be shorter.
type Second struct {
	Second   int                `json:"second"`  // from the start
	Planned  uint64             `json:"planned"` // requests due in it
	Sent     uint64             `json:"sent"`
	Answered uint64             `json:"answered"`
	Visits   uint64             `json:"visits"` // that the answers stand for
	Wrong    uint64             `json:"wrong"`
	Outcomes map[Outcome]uint64 `json:"outcomes"`
	Latency  Summary            `json:"latency_ms"`     // of the answers of this second, from the scheduled time
	Lag      Summary            `json:"lag_ms"`         // of their sendings
	Heat     []uint32           `json:"heat,omitempty"` // answers by latency, see HeatBound

	Visible   Summary   `json:"push_to_visible_ms"` // of turns that were seen through in it
	Servers   []Server  `json:"servers,omitempty"`  // as they were last looked at
	Processor Processor `json:"processor"`
}

// Server is what a process of the fleet needs.
type Server struct {
	Name      string  `json:"name"`
	Processor float64 `json:"processor"` // seconds of processor time a second
	Resident  uint64  `json:"resident_bytes"`
}

// HeatBuckets is how many buckets [Second.Heat] has at most. The last one is without a bound.
const HeatBuckets = 17

const heatLeast = 250 * time.Microsecond

// HeatBound returns the latency that answers in a bucket are under: 0.25 ms, and twice as long each time until 8 s.
func HeatBound(bucket int) time.Duration { return heatLeast << bucket }

func heatBucket(latency time.Duration) int {
	return min(bits.Len64(uint64(max(0, latency)/heatLeast)), HeatBuckets-1)
}

// secondTally is a second as it is counted.
type secondTally struct {
	answered, visits, wrong uint64
	outcomes                map[Outcome]uint64
	heat                    [HeatBuckets]uint32
	latency, lag            *Timer
}

func newSecondTally() *secondTally {
	return &secondTally{outcomes: map[Outcome]uint64{}, latency: NewTimer(), lag: NewTimer()}
}

func (t *secondTally) count(h *hit) {
	t.outcomes[h.Outcome]++
	t.lag.Record(h.lag)
	if h.failed {
		return
	}
	t.answered++
	t.visits += h.weight
	t.heat[heatBucket(h.latency)]++
	t.latency.Record(h.latency)
	if h.Wrong != nil {
		t.wrong++
	}
}

// merge adds another one's counts.
func (t *secondTally) merge(o *secondTally) {
	t.answered, t.visits, t.wrong = t.answered+o.answered, t.visits+o.visits, t.wrong+o.wrong
	for outcome, n := range o.outcomes {
		t.outcomes[outcome] += n
	}
	for i, n := range o.heat {
		t.heat[i] += n
	}
	t.latency.Merge(o.latency)
	t.lag.Merge(o.lag)
}

func (t *secondTally) reset() {
	t.answered, t.visits, t.wrong = 0, 0, 0
	clear(t.outcomes)
	t.heat = [HeatBuckets]uint32{}
	t.latency.Reset()
	t.lag.Reset()
}

// secondsLog appends a line for each second to a file, so that who kills the run has all but the last one. The nil secondsLog
// does nothing.
type secondsLog struct {
	file *os.File
	err  error // the first; nothing is written after it
}

// openSeconds opens the log in a folder; without a folder there is none.
func openSeconds(dir string) (*secondsLog, error) {
	if dir == "" {
		return nil, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, SecondsFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of seconds: %w", err)
	}
	return &secondsLog{file: f}, nil
}

func (l *secondsLog) write(s *Second) {
	if l == nil || l.err != nil {
		return
	}
	line, err := json.Marshal(s)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	l.err = err
}

// close returns why the log is not whole.
func (l *secondsLog) close() error {
	if l == nil {
		return nil
	}
	if err := l.file.Close(); l.err == nil {
		l.err = err
	}
	return l.err
}
