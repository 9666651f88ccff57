package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scanedge/scanedge/bench/load"
)

// Second is one line of the log of seconds: what happened in that second, not until then.
type Second struct {
	Second   int                     `json:"second"`  // from the start
	Planned  uint64                  `json:"planned"` // requests due in it
	Sent     uint64                  `json:"sent"`
	Answered uint64                  `json:"answered"`
	Visits   uint64                  `json:"visits"` // that the answers stand for
	Wrong    uint64                  `json:"wrong"`
	Outcomes map[load.Outcome]uint64 `json:"outcomes"`
	Latency  load.Summary            `json:"latency_ms"`     // of the answers of this second, from the scheduled time
	Lag      load.Summary            `json:"lag_ms"`         // of the sendings
	Heat     []uint32                `json:"heat,omitempty"` // answers by latency: under 0.25 ms, 0.5 ms, 1 ms, and so on
}

// heatBound returns the latency in milliseconds that answers in a bucket of [Second.Heat] are under.
func heatBound(bucket int) float64 { return 0.25 * float64(uint64(1)<<bucket) }

// heatBuckets are up to 8 s; what is slower is in the last one, or in one after it.
const heatBuckets = 17

// ReadSeconds reads a run's log of seconds. A last line that was cut off is left out; where there is no log there are no seconds.
func ReadSeconds(dir string) ([]Second, error) {
	path := filepath.Join(dir, SecondsFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log of seconds: %w", err)
	}
	defer f.Close()
	var all []Second
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return all, nil // a line that does not end was not written whole
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		var s Second
		if err := json.Unmarshal(line, &s); err != nil || len(s.Heat) > heatBuckets || s.Second < 0 {
			return nil, fmt.Errorf("%s: line %d is no second of a run (%v): remove the line to leave that second out", path, len(all)+1, err)
		}
		all = append(all, s)
	}
}

// span is one or several seconds that a chart shows in one place.
type span struct {
	from, to                        float64 // seconds from the start
	planned, sent, answered, visits uint64
	wrong, failed, refused          uint64
	p50, p99, lag                   float64 // of the worst of its seconds
	heat                            [heatBuckets]uint64
}

// spans joins seconds until there are at most so many.
func spans(seconds []Second, most int) []span {
	each := max(1, (len(seconds)+most-1)/most)
	var all []span
	for i, s := range seconds {
		if i%each == 0 {
			all = append(all, span{from: float64(s.Second)})
		}
		all[len(all)-1].add(s)
	}
	return all
}

func (c *span) add(s Second) {
	c.to = float64(s.Second + 1)
	c.planned, c.sent, c.answered, c.visits = c.planned+s.Planned, c.sent+s.Sent, c.answered+s.Answered, c.visits+s.Visits
	c.wrong, c.failed, c.refused = c.wrong+s.Wrong, c.failed+s.Outcomes[load.Failed], c.refused+s.Outcomes[load.Refused]
	c.p50, c.p99, c.lag = max(c.p50, s.Latency.P50), max(c.p99, s.Latency.P99), max(c.lag, s.Lag.P99)
	for i, n := range s.Heat {
		c.heat[i] += uint64(n)
	}
}

// rate is a count of the span as so many a second.
func (c *span) rate(n uint64) float64 { return float64(n) / max(1, c.to-c.from) }
