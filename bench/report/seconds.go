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

// heatBound is in milliseconds.
func heatBound(bucket int) float64 { return load.HeatBound(bucket).Seconds() * 1000 }

// ReadSeconds reads a run's log of seconds. A last line that was cut off is left out; where there is no log there are no seconds.
func ReadSeconds(dir string) ([]load.Second, error) {
	path := filepath.Join(dir, SecondsFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log of seconds: %w", err)
	}
	defer f.Close()
	var all []load.Second
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return all, nil // a line that does not end was not written whole
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		var s load.Second
		if err := json.Unmarshal(line, &s); err != nil || len(s.Heat) > load.HeatBuckets || s.Second < 0 {
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
	p50, p99, lag, visible          float64 // of the worst of its seconds
	turns                           int64
	processor                       load.Processor // of the worst of its seconds
	servers                         map[string]load.Server
	heat                            [load.HeatBuckets]uint64
}

// spans joins seconds until there are at most so many. Answers that came after the last second that was planned belong to it.
func spans(seconds []load.Second, most int) []span {
	each := max(1, (len(seconds)+most-1)/most)
	var all []span
	for i, s := range seconds {
		if stragglers := i == len(seconds)-1 && i > 0 && s.Planned == 0 && s.Sent == 0; stragglers {
			last := &all[len(all)-1]
			to := last.to
			last.add(s)
			last.to = to // or the last second would seem to have half its rate
			return all
		}
		if i%each == 0 {
			all = append(all, span{from: float64(s.Second)})
		}
		all[len(all)-1].add(s)
	}
	return all
}

func (c *span) add(s load.Second) {
	c.to = float64(s.Second + 1)
	c.planned, c.sent, c.answered, c.visits = c.planned+s.Planned, c.sent+s.Sent, c.answered+s.Answered, c.visits+s.Visits
	c.wrong, c.failed, c.refused = c.wrong+s.Wrong, c.failed+s.Outcomes[load.Failed], c.refused+s.Outcomes[load.Refused]
	c.p50, c.p99, c.lag = max(c.p50, s.Latency.P50), max(c.p99, s.Latency.P99), max(c.lag, s.Lag.P99)
	c.visible, c.turns = max(c.visible, s.Visible.P99), c.turns+s.Visible.Count
	c.processor = load.Processor{
		Own: max(c.processor.Own, s.Processor.Own), Machine: max(c.processor.Machine, s.Processor.Machine),
		Stolen: max(c.processor.Stolen, s.Processor.Stolen),
	}
	for _, server := range s.Servers {
		if c.servers == nil {
			c.servers = map[string]load.Server{}
		}
		was := c.servers[server.Name]
		server.Processor, server.Resident = max(server.Processor, was.Processor), max(server.Resident, was.Resident)
		c.servers[server.Name] = server
	}
	for i, n := range s.Heat {
		c.heat[i] += uint64(n)
	}
}

// rate is a count of the span as so many a second.
func (c *span) rate(n uint64) float64 { return float64(n) / max(1, c.to-c.from) }
