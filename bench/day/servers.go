package day

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// serversEvery is how often a process is asked what it needs: to write its metrics takes it a few milliseconds.
const serversEvery = 5 * time.Second

// servers looks at what the fleet's processes need while the load runs. Who does not answer is left out.
type servers struct {
	read  Metrics
	of    []Process
	every time.Duration

	before map[string]usage // by name; of the goroutine that watches

	mu   sync.Mutex
	last []load.Server // never changed, but replaced
}

// usage is what a process had used at a moment.
type usage struct {
	at        time.Time
	processor float64 // seconds
}

func newServers(of []Process, read Metrics) *servers {
	of = slices.DeleteFunc(slices.Clone(of), func(p Process) bool { return p.Admin == "" || read == nil })
	return &servers{read: read, of: of, every: serversEvery, before: map[string]usage{}}
}

// watch looks, and looks again, until the load is over.
func (s *servers) watch(ctx context.Context, over <-chan struct{}) {
	if len(s.of) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		s.look(ctx)
		pause(ctx, s.every)
	}
}

// look asks each process in turn. What it needs is known from the second look on.
func (s *servers) look(ctx context.Context) {
	var now []load.Server
	for _, p := range s.of {
		if one, ok := s.ask(ctx, p); ok {
			now = append(now, one)
		}
	}
	if ctx.Err() != nil {
		return // some were not asked any more
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
}

func (s *servers) ask(ctx context.Context, p Process) (one load.Server, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, metricsWithin)
	defer cancel()
	all, err := s.read(ctx, p.Admin)
	if err != nil {
		return one, false
	}
	now, before := usage{time.Now(), all["process_cpu_seconds_total"]}, s.before[p.Name]
	s.before[p.Name] = now
	if before.at.IsZero() || now.processor < before.processor { // less: another process took its place
		return one, false
	}
	return load.Server{
		Name:      p.Name,
		Processor: (now.processor - before.processor) / now.at.Sub(before.at).Seconds(),
		Resident:  uint64(all["process_resident_memory_bytes"]),
	}, true
}

// latest is what was seen last.
func (s *servers) latest() []load.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}
