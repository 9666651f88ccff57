// Package fleet runs a whole scanedge fleet on one machine: an origin and its edges as real processes, watched, restarted
// and stopped together, with a demo population pushed and a file that says what runs where.
//
//	up.go         what runs where: the file DIR/up.json, a promise to scripts and tests
//	demo.go       the demo population: who exists and what a scan of each answers
//	fleet.go      Start and Stop
//	claim.go      one fleet a folder, also after the last one was killed
//	child.go      one process: its flags, its life from start to exit
//	successor.go  one that has taken over from it
//	childlog.go   its log, and its last words
//	supervise.go  one life after another, with backoff
//	spawn.go      starting processes such that none outlives the fleet
//	seed.go       pushing the demo population, or only what changed since the last start
//	enrol.go      making edges known to the origin
//	limits.go     strict limits of who scans
//	await.go      waiting for readiness and for what was pushed
//	codekeys.go   the issuers' code keys, for who makes rolling codes of the whole population
//	metrics.go    reading the processes' metrics
//
// Invariants:
//   - A child that has listened once is always started again on the same addresses, so what up.json says stays true but
//     for the pid, and the pid is rewritten.
//   - up.json exists only between ready and stop, is replaced whole, and never names a fleet of another start. So does the file of
//     code keys that it names, which follows each change of a key within a second.
//   - No process outlives the fleet: Stop waits for each; if the fleet's own process is killed, the kernel stops them
//     (Linux), and the next Start in that folder waits until the last one is gone. One that took over from a child is no child: Stop
//     ends it, the kernel does not.
//   - demo.json never claims a subject that the origin has not acknowledged, nor hides one that may exist.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Config says what fleet to start. The zero value is not usable: Exe, Dir and Edges are needed.
type Config struct {
	Exe      string    // path of the scanedge binary
	Dir      string    // the fleet's folder, made if absent; what lies there is kept between starts
	Edges    int       // how many edges, 1 or more
	Subjects int       // demo subjects over all issuers, 0 or more
	Listen   string    // HOST:PORT of the first edge's scan listener; "" is a free port on 127.0.0.1
	Limits   bool      // scanners are limited, strictly; else they are not on this machine
	Log      io.Writer // notices for people; nil is nowhere
}

// freePort is where everything listens that Config does not place: on a port of the kernel's choice.
const freePort = "127.0.0.1:0"

// Fleet is a running fleet. Its methods may be called from any goroutine.
type Fleet struct {
	cfg   Config
	claim *claim
	spawn *spawner

	// Set by start, then only read.
	origin *child
	edges  []*child

	dropCodeKeys func() // ends what keeps their file true, and removes it; nil: there is none

	logMu sync.Mutex // guards writes to cfg.Log

	mu        sync.Mutex // guards what follows
	up        Up
	published bool // up.json is there and is kept true

	stop sync.Once
}

// Start starts the fleet and returns once every process is ready, every edge holds the demo population and DIR/up.json is
// written. ctx bounds the start alone; the fleet runs until [Fleet.Stop]. When a process ends before it ever listened,
// Start stops the others and the error carries that process's last words. In a folder with a running fleet it fails.
func Start(ctx context.Context, cfg Config) (*Fleet, error) {
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	if cfg.Listen == "" {
		cfg.Listen = freePort
	}
	f := &Fleet{cfg: cfg}
	var err error
	if f.claim, err = claimDir(ctx, cfg.Dir, f.note); err != nil {
		return nil, err
	}
	f.spawn = newSpawner()
	if err := f.start(ctx); err != nil {
		f.Stop()
		return nil, err
	}
	return f, nil
}

func (f *Fleet) start(ctx context.Context) error {
	f.origin = newOrigin(f)
	f.origin.launch(f)
	if err := f.origin.awaitListening(ctx); err != nil {
		return err
	}
	if err := f.readTokens(); err != nil {
		return err
	}
	f.update(func(up *Up) { up.Edges = make([]Edge, f.cfg.Edges) })
	limits, err := f.limits()
	if err != nil {
		return err
	}
	for i := range f.cfg.Edges {
		c := newEdge(f, i)
		c.args = append(c.args, limits...)
		if err := f.enrol(ctx, c); err != nil {
			return err
		}
		f.edges = append(f.edges, c)
	}
	for _, c := range f.edges {
		c.launch(f)
	}
	for _, c := range f.edges {
		if err := c.awaitListening(ctx); err != nil {
			return err
		}
	}
	if err := f.awaitReady(ctx, f.origin); err != nil {
		return err
	}
	acked, err := f.seed(ctx)
	if err != nil {
		return err
	}
	if err := f.awaitEdges(ctx, acked); err != nil {
		return err
	}
	if err := f.writeCodeKeys(); err != nil {
		return err
	}
	return f.publish()
}

// Stop stops all processes, edges before the origin, and removes up.json. It returns when all have ended: a process that
// does not end within 10 s of SIGTERM is killed. A second call does nothing.
func (f *Fleet) Stop() {
	f.stop.Do(func() {
		f.unpublish()
		if f.dropCodeKeys != nil {
			f.dropCodeKeys()
		}
		for _, c := range f.edges {
			c.cancel()
		}
		for _, c := range f.edges {
			c.awaitEnd()
		}
		if f.origin != nil {
			f.origin.cancel()
			f.origin.awaitEnd()
		}
		f.spawn.close()
		f.claim.release()
	})
}

// Up says what runs where at this moment, as DIR/up.json does.
func (f *Fleet) Up() Up {
	f.mu.Lock()
	defer f.mu.Unlock()
	up := f.up
	up.Edges = slices.Clone(up.Edges)
	up.Issuers = slices.Clone(up.Issuers)
	up.ScannerKeys = slices.Clone(up.ScannerKeys)
	up.Sample = slices.Clone(up.Sample)
	return up
}

// Path is where up.json lies.
func (f *Fleet) Path() string { return filepath.Join(f.cfg.Dir, UpFile) }

// publish writes up.json; from here on every new pid is written too.
func (f *Fleet) publish() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up.Issuers = slices.Clone(DemoIssuers)
	f.up.Subjects = f.cfg.Subjects
	f.up.Sample = demoSample(f.cfg.Subjects)
	f.published = true
	return f.up.Save(f.Path())
}

func (f *Fleet) unpublish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.published = false
	if err := os.Remove(f.Path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.note("could not remove %s, which is true no more: %v", f.Path(), err)
	}
}

// update changes what runs where, and the file if it is there.
func (f *Fleet) update(change func(*Up)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.up)
	if !f.published {
		return
	}
	if err := f.up.Save(f.Path()); err != nil {
		f.note("up.json is out of date: %v", err)
	}
}

// note tells people something, a line of its own.
func (f *Fleet) note(format string, a ...any) {
	f.logMu.Lock()
	defer f.logMu.Unlock()
	fmt.Fprintf(f.cfg.Log, format+"\n", a...)
}
