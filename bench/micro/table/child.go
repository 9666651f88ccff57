package table

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// child is a part's process, as who waits for it sees it.
type child struct {
	Part
	progress func(step string, done float64)
	await    func() // called when the part waits for its turn; returns when it has come
}

// run runs a part in a process of its own and returns what it found.
func (c *Config) run(ctx context.Context, p child) (json.RawMessage, error) {
	cmd := c.Child(ctx)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	orders := json.NewEncoder(in)
	_ = orders.Encode(p.Part) // a part that does not read it ends without a result
	found, err := p.receive(out, func() { _ = orders.Encode(turn{}) })
	if err != nil && !errors.Is(err, errNoResult) {
		_ = cmd.Process.Kill()
	}
	ended := cmd.Wait() // it closes in, by which a part notices that nobody waits for it any more
	switch {
	case ctx.Err() != nil:
		return nil, errInterrupted
	case err != nil && !errors.Is(err, errNoResult):
		return nil, err
	case ended != nil:
		return nil, fmt.Errorf("%w: %s", ended, strings.TrimSpace(complaint.String()))
	}
	return found, err
}

var (
	errNoResult    = errors.New("it ended without a result")
	errInterrupted = errors.New("interrupted")
)

// receive reads the lines of a part.
func (p *child) receive(out io.Reader, begin func()) (found json.RawMessage, err error) {
	for lines := json.NewDecoder(out); ; {
		var m message
		switch err := lines.Decode(&m); {
		case err == io.EOF && found == nil:
			return nil, errNoResult
		case err == io.EOF:
			return found, nil
		case err != nil:
			return nil, fmt.Errorf("reading what it found: %w", err)
		case m.Ready:
			p.await()
			begin()
		case m.Result != nil:
			found = m.Result
		default:
			p.progress(m.Step, m.Done)
		}
	}
}

// runTogether runs parts that prepare beside each other and, when all are prepared, measure one by one.
func (c *Config) runTogether(ctx context.Context, parts []Part, progress func(string, float64)) ([]json.RawMessage, error) {
	g, ctx := errgroup.WithContext(ctx)
	found := make([]json.RawMessage, len(parts))
	steps := &jointProgress{show: progress, done: make([]float64, len(parts))}
	var prepared sync.WaitGroup
	var measuring sync.Mutex
	prepared.Add(len(parts))
	for i, part := range parts {
		g.Go(func() (err error) {
			ready := sync.OnceFunc(prepared.Done)
			defer ready() // also if it fails: the others must not wait for it
			leave := func() {}
			defer func() { leave() }()
			found[i], err = c.run(ctx, child{part, func(step string, done float64) { steps.set(i, step, done) }, func() {
				ready()
				prepared.Wait()
				measuring.Lock()
				leave = measuring.Unlock
			}})
			if err != nil {
				return fmt.Errorf("measuring %s: %w", part.Name, err)
			}
			return nil
		})
	}
	return found, g.Wait()
}

// jointProgress is how far some parts are that run at the same time.
type jointProgress struct {
	show func(string, float64)

	mu   sync.Mutex
	done []float64 // of each part
}

func (p *jointProgress) set(i int, step string, done float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[i] = max(p.done[i], done)
	sum := 0.0
	for _, d := range p.done {
		sum += d
	}
	p.show(step, sum/float64(len(p.done)))
}
