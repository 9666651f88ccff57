package report

import (
	"encoding/json"
	"testing"

	"github.com/scanedge/scanedge/bench/load"
)

// told is a log of rates and p99s by second.
func told(rates []uint64, p99 []float64) []load.Second {
	var all []load.Second
	for i, r := range rates {
		all = append(all, load.Second{Second: i, Planned: r, Sent: r, Latency: load.Summary{P99: p99[i], Count: int64(r)}})
	}
	return all
}

func TestSpikes(t *testing.T) {
	for name, c := range map[string]struct {
		rates []uint64
		p99   []float64
		want  string
	}{
		"none":         {[]uint64{10, 10, 30, 10}, []float64{1, 1, 99, 1}, `[]`},
		"empty":        {nil, nil, `[]`},
		"at once well": {[]uint64{10, 10, 31, 40, 10, 10, 10, 10, 10}, []float64{9, 1, 5, 20, 1, 1, 1, 1, 1}, `[{"from_s":2,"to_s":4,"peak_rate":40,"worst_p99_ms":20,"recovered_s":0}]`},
		"later, and bad again in between": {
			[]uint64{10, 10, 40, 10, 10, 10, 10, 10, 10, 10}, []float64{1, 1, 70, 60, 1, 1, 50, 1, 1, 1},
			`[{"from_s":2,"to_s":3,"peak_rate":40,"worst_p99_ms":70,"recovered_s":4}]`,
		},
		"never":          {[]uint64{10, 10, 40, 10, 10, 10, 10}, []float64{1, 1, 70, 60, 60, 1, 1}, `[{"from_s":2,"to_s":3,"peak_rate":40,"worst_p99_ms":70,"recovered_s":null}]`},
		"a dip is one":   {[]uint64{10, 40, 10, 10, 50, 10, 10, 10, 10}, []float64{1, 2, 70, 3, 4, 1, 1, 1, 1}, `[{"from_s":1,"to_s":5,"peak_rate":50,"worst_p99_ms":70,"recovered_s":0}]`},
		"two":            {[]uint64{10, 40, 10, 10, 10, 50, 10, 10, 10}, []float64{1, 2, 70, 3, 4, 9, 1, 1, 1}, `[{"from_s":1,"to_s":2,"peak_rate":40,"worst_p99_ms":2,"recovered_s":1},{"from_s":5,"to_s":6,"peak_rate":50,"worst_p99_ms":9,"recovered_s":0}]`},
		"at a log's end": {[]uint64{10, 10, 10, 40}, []float64{1, 1, 1, 2}, `[{"from_s":3,"to_s":4,"peak_rate":40,"worst_p99_ms":2,"recovered_s":null}]`},
	} {
		got, err := json.Marshal(spikes(told(c.rates, c.p99), 50))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, c.want)
		}
	}
}

// A second in which nothing was to be sent does not put the recovery off.
func TestQuietSecondsAreWell(t *testing.T) {
	log := told([]uint64{10, 10, 40, 10, 0, 0, 10, 10}, make([]float64, 8))
	if got := spikes(log, 50)[0].Recovered; got == nil || *got != 0 {
		t.Errorf("recovered after %v", got)
	}
}

// A second whose requests nobody answered has no latency, and is not well for that.
func TestNoAnswerIsNoRecovery(t *testing.T) {
	log := told([]uint64{10, 10, 40, 10, 10, 10, 10, 10}, make([]float64, 8))
	log[4].Latency.Count = 0
	if got := spikes(log, 50)[0].Recovered; got == nil || *got != 2 {
		t.Errorf("recovered after %v", got)
	}
}
