// Package table measures the status table: the memory that a subject costs, what a lookup costs beside the cache lines that it
// must touch, and both beside other stores of the same content.
//
// # Pieces
//
//   - table.go: [Run], the measuring of one size, part by part
//   - part.go: [Part], what one process does; [RunPart]; child.go: its process from outside
//   - grow.go, load.go, rivals.go: the parts
//   - contest.go: how loops are interleaved; loops.go, beside.go, tails.go: what they do
//   - keys.go: subjects, keys and records; machine_linux.go: memory and processors
//   - result.go: [Result]; goals.go: what was promised; text.go, markdown.go, plot.go: how it is shown
//
// # How it is measured
//
// Each part is a process of its own, so that no garbage of one is memory of another: one grows a table by single puts and
// writes its snapshot, one loads that, and one for each rival. Memory is the process's resident memory above what it was with
// an empty table.
//
// Loops are measured in turns, A B C, C B A, and so on, on one pinned core, over keys or lines at random; the figure is the
// median of the rounds, a ratio that of two medians. The floor of lookups are reads of single cache lines out of the very
// memory that the lookups read, and has no key to make. A rival is measured in turns with a table beside it.
package table

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Config is what is measured, and where.
type Config struct {
	Subjects uint64
	Dir      string // where a snapshot is written for a while; "" is the system's folder for such files

	// Child makes the command of a process that reads a Part from its standard input, as JSON, and runs it.
	Child func(ctx context.Context) *exec.Cmd

	// Progress is told what is being done, and how much of all is done, from 0 to 1. It may be nil.
	Progress func(step string, done float64)

	// How many rounds a contest has, and how long one loop runs in a round. Zero is what figures to be believed need.
	Rounds int
	Slice  time.Duration
}

// Bounds of Config.Subjects.
const (
	MinSubjects = 1_000
	MaxSubjects = 2_000_000_000
)

// Run measures one size. An error means that something could not be measured, or that a table lost an entry: never that a goal
// was missed.
func Run(ctx context.Context, c Config) (*Result, error) {
	began := time.Now()
	dir, err := os.MkdirTemp(c.Dir, "scanedge-table-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the snapshot: %w", err)
	}
	defer os.RemoveAll(dir)
	if free, known := diskFree(dir); known && free < c.Subjects*bytesPerSubject {
		return nil, fmt.Errorf("the snapshot of %d subjects needs %d MB; %s has room for %d MB",
			c.Subjects, c.Subjects*bytesPerSubject>>20, dir, free>>20)
	}
	r := newResult(c.Subjects)
	part := Part{Subjects: c.Subjects, Snapshot: filepath.Join(dir, "table"), Rounds: c.Rounds, Slice: c.Slice}
	for _, stage := range r.stages() {
		if err := c.stage(ctx, part, stage, r); err != nil {
			return nil, err
		}
	}
	if r.Grown != r.Loaded {
		return nil, fmt.Errorf("the table that was written has %v, the one that was read %v", r.Grown, r.Loaded)
	}
	r.Seconds = time.Since(began).Seconds()
	r.derive()
	return r, nil
}

// stage is parts that run at the same time, and which part of all the time they are, roughly.
type stage struct {
	names      []string
	begin, end float64
}

// stages are one after the other. Rivals that do not fit are left out; if they fit one by one only, each is a stage.
func (r *Result) stages() []stage {
	const grown, loaded = 0.4, 0.55
	all := []stage{{[]string{partGrow}, 0, grown}, {[]string{partLoad}, grown, loaded}}
	var fit []string
	for _, name := range rivalNames {
		if why := tooMuch(r.Subjects, name); why != "" {
			r.Skipped[name] = why
		} else {
			fit = append(fit, name)
		}
	}
	if tooMuch(r.Subjects, fit...) == "" {
		return append(all, stage{fit, loaded, 1})
	}
	for i, name := range fit {
		share := (1 - loaded) / float64(len(fit))
		all = append(all, stage{[]string{name}, loaded + share*float64(i), loaded + share*float64(i+1)})
	}
	return all
}

// stage runs the parts of one stage and adds what they found to r.
func (c *Config) stage(ctx context.Context, part Part, s stage, r *Result) error {
	var parts []Part
	for _, name := range s.names {
		part.Name = name
		parts = append(parts, part)
	}
	found, err := c.runTogether(ctx, parts, func(step string, done float64) {
		if c.Progress != nil {
			c.Progress(step, s.begin+done*(s.end-s.begin))
		}
	})
	if err != nil {
		return err
	}
	for i, text := range found {
		if err := json.Unmarshal(text, r); err != nil {
			return fmt.Errorf("reading what %s found: %w", s.names[i], err)
		}
	}
	return nil
}

// bytesPerSubject is a little more than a subject needs, in memory and in a snapshot.
const bytesPerSubject = 16

// tooMuch says why rivals can't be filled at the same time, or "". Each has a table beside it.
func tooMuch(subjects uint64, names ...string) string {
	need := uint64(0)
	for _, name := range names {
		need += subjects * (rivals[name].bytesPerSubject + bytesPerSubject)
	}
	free, known := memoryFree()
	switch {
	case subjects > rivalMost:
		return fmt.Sprintf("filling it takes minutes; rivals are measured up to %d million subjects", rivalMost/1_000_000)
	case known && need > free:
		return fmt.Sprintf("it and a table may need %.1f GB of memory; %.1f GB are free", float64(need)/1e9, float64(free)/1e9)
	}
	return ""
}
