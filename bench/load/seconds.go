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
	Latency  Summary            `json:"latency_ms"`         // of the answers of this second, from the scheduled time
	Lag      Summary            `json:"lag_ms"`             // of their sendings
	Heat     []uint32           `json:"heat,omitempty"`     // answers by latency, see HeatBound
	Visible  Summary            `json:"push_to_visible_ms"` // of turns seen through in it

	Servers   []Server  `json:"servers,omitempty"`
	Processor Processor `json:"processor"` // of the machine that the load comes from
}

// Server is what a process of the fleet took.
type Server struct {
	Name      string  `json:"name"`
	Processor float64 `json:"processor"`      // seconds of processor time a second
	Resident  uint64  `json:"resident_bytes"` // of memory
}

// HeatBuckets is how many buckets [Second.Heat] has at most. The last one is without a bound.
const HeatBuckets = 17

const heatLeast = 250 * time.Microsecond

// HeatBound returns the latency that answers in a bucket are under: 0.25 ms, and twice as long each time until 8 s.
func HeatBound(bucket int) time.Duration { return heatLeast << bucket }

func heatBucket(latency time.Duration) int {
	return min(bits.Len64(uint64(max(0, latency)/heatLeast)), HeatBuckets-1)
}

// secondsLog appends a line for each second to a file, so that who kills the run has all but the last one. The nil secondsLog
// does nothing.
type secondsLog struct {
	file *os.File
	err  error // the first; nothing is written after it
	each func(*Second)

	now           Second // since the last line
	lag           *Timer
	from          time.Duration // when the last line was written
	planned, sent uint64        // until then
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
	l := &secondsLog{file: f, lag: NewTimer()}
	l.begin()
	return l, nil
}

func (l *secondsLog) begin() {
	l.now = Second{Outcomes: map[Outcome]uint64{}, Heat: make([]uint32, HeatBuckets)}
	l.lag.Reset()
}

// add counts a visit whose outcome is known. An answer has a latency.
func (l *secondsLog) add(o Outcome, lag, latency time.Duration, wrong bool) {
	if l == nil {
		return
	}
	l.now.Outcomes[o]++
	l.lag.Record(lag)
	if o == Failed {
		return
	}
	l.now.Answered++
	l.now.Visits++
	l.now.Heat[heatBucket(latency)]++
	if wrong {
		l.now.Wrong++
	}
}

// write ends the second that is under way.
func (l *secondsLog) write(now time.Duration, planned, sent uint64, latency Summary) {
	if l == nil || l.err != nil {
		return
	}
	s := &l.now
	s.Second = int(l.from.Round(time.Second) / time.Second)
	s.Planned, s.Sent = planned-l.planned, sent-l.sent
	s.Latency, s.Lag = latency, l.lag.Summary()
	if l.each != nil {
		l.each(s)
	}
	line, err := json.Marshal(s)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	l.err = err
	l.from, l.planned, l.sent = now, planned, sent
	l.begin()
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
