package day

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"
)

// What a process needs is the processor time between two looks; one that does not answer, or began anew, is left out until it is known again.
func TestServersAreLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		processor := map[string]float64{"http://o": 10, "http://e": 3}
		read := func(_ context.Context, admin string) (map[string]float64, error) {
			used, ok := processor[admin]
			if !ok {
				return nil, errors.New("gone")
			}
			return map[string]float64{"process_cpu_seconds_total": used, "process_resident_memory_bytes": 4096}, nil
		}
		s := newServers([]Process{{"origin", "http://o"}, {"edge-1", "http://e"}, {"edge-2", ""}}, read)
		look := func(used map[string]float64) map[string]float64 {
			maps.Copy(processor, used)
			time.Sleep(serversEvery)
			s.look(t.Context())
			seen := map[string]float64{}
			for _, one := range s.latest() {
				if seen[one.Name] = one.Processor; one.Resident != 4096 {
					t.Errorf("%+v", one)
				}
			}
			return seen
		}
		if s.look(t.Context()); s.latest() != nil {
			t.Errorf("after one look: %v", s.latest())
		}
		if got := look(map[string]float64{"http://o": 15, "http://e": 5.5}); !maps.Equal(got, map[string]float64{"origin": 1, "edge-1": 0.5}) {
			t.Errorf("%v", got)
		}
		if got := look(map[string]float64{"http://o": 15, "http://e": 1}); !maps.Equal(got, map[string]float64{"origin": 0}) {
			t.Errorf("an edge that began anew: %v", got)
		}
		delete(processor, "http://o")
		if got := look(map[string]float64{"http://e": 6}); !maps.Equal(got, map[string]float64{"edge-1": 1}) {
			t.Errorf("an origin that does not answer: %v", got)
		}

		over, began := make(chan struct{}), time.Now()
		time.AfterFunc(time.Minute, func() { close(over) })
		processor["http://e"] = 66
		if s.watch(t.Context(), over); time.Since(began) != time.Minute {
			t.Errorf("it looked for %v", time.Since(began))
		}
		if got := s.latest(); len(got) != 1 || got[0].Processor != 0 {
			t.Errorf("at the end: %v", got)
		}
	})
}
