// Package scan measures an edge's scan path beside its floor and its rivals: bare fasthttp with a constant answer, nginx and Redis.
//
// # Pieces
//
//   - scan.go: [Run], the rounds; rows.go: what is asked of whom
//   - server.go: [Serve], an edge or the floor in a process of its own; rivals.go: nginx and Redis
//   - client_linux.go: the load; asks.go: what it sends; answers.go: how it reads; pin_linux.go: processors
//   - inside.go: the handler without a network, and the empty loop that its times are shown beside
//   - result.go: [Result]; goals.go: what was promised; text.go: how it is shown
//
// # How it is measured
//
// Every server is a process of its own on one processor, the load is on another. Rows are measured in turns, A B C, C B A, and so on; a
// figure is the median of its rounds, a ratio the median of the ratios of each round. The edge holds a table of as many subjects as
// asked for, in one issuer, and codes are drawn at random from all of it; the client reads every answer to its end, and one that is not
// a verdict ends the run.
//
// The client is one thread that waits on all its connections by epoll, sends requests that it writes itself, and looks at no more of an
// answer than its status and its length, and whether a batch has an error in it. The same client asks all of them.
package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// Bounds of Config.Subjects.
const (
	MinSubjects = 1_000
	MaxSubjects = 1_000_000_000
)

// Config is what is measured, and where.
type Config struct {
	Subjects uint64
	Rounds   int           // 1 or more
	Slice    time.Duration // how long a row is measured in a round
	Rows     []string      // names of rows; nil: all
	Dir      string        // where the rivals' files are for a while; "" is the system's folder for such files

	Child func() *exec.Cmd // makes the command of a process that calls Serve

	Progress func(step string, done float64) // is told what is being done, and how much of all is done; may be nil
}

// run is a run under way.
type run struct {
	Config
	r    *Result
	asks *asks
	edge *server
	at   map[string]string // where servers listen, by name
	ends []func()
}

// Run measures. An error means that something could not be measured, never that a goal was missed.
func Run(ctx context.Context, c Config) (*Result, error) {
	rows, err := rowsOf(c.Rows)
	if err != nil {
		return nil, err
	}
	if err := enough(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(c.Dir, "scanedge-scan-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the rivals' files: %w", err)
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	m := &run{Config: c, r: newResult(c), asks: newAsks(c.Subjects), at: map[string]string{}}
	defer m.end()
	if rows, err = m.start(ctx, dir, rows); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	if err := m.rounds(ctx, rows); err != nil {
		return nil, err
	}
	if err := m.inside(); err != nil {
		return nil, err
	}
	m.r.Seconds = time.Since(began).Seconds()
	m.r.derive(rows)
	return m.r, nil
}

func (m *run) progress(step string, done float64) {
	if m.Progress != nil {
		m.Progress(step, done)
	}
}

func (m *run) end() {
	for _, end := range slices.Backward(m.ends) {
		end()
	}
}

// rounds measures the rows in turns.
func (m *run) rounds(ctx context.Context, rows []row) error {
	for round := range m.Rounds {
		order := slices.Clone(rows)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for i, row := range order {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			done := 0.4 + 0.5*float64(round*len(rows)+i)/float64(m.Rounds*len(rows))
			m.progress(fmt.Sprintf("round %d of %d: %s", round+1, m.Rounds, row.name), done)
			if err := m.measure(row); err != nil {
				return fmt.Errorf("measuring %s: %w", row.name, err)
			}
		}
	}
	return nil
}

// measure measures a row once.
func (m *run) measure(row row) error {
	load := row.load(m)
	load.addr, load.conns = m.at[row.server], cmp.Or(load.conns, connections)
	before, err := m.times(row)
	if err != nil {
		return err
	}
	rate, err := load.run(clientCore, m.Slice)
	if err != nil {
		return err
	}
	m.r.Rounds[row.name] = append(m.r.Rounds[row.name], rate*float64(max(1, load.verdicts)))
	if before == nil {
		return nil
	}
	after, err := m.times(row)
	if err != nil {
		return err
	}
	took := after.Since(*before)
	m.r.Inside = append(m.r.Inside, insideOf(row.name, took, emptyLoop(serverCore, took.Quantile(0.5), m.Slice)))
	return nil
}
