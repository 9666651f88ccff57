package table

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Part is what one process measures.
type Part struct {
	Name     string // grow, load or a rival's
	Subjects uint64
	Snapshot string // file that the growing part writes and the others read
	Rounds   int
	Slice    time.Duration
}

const (
	partGrow = "grow"
	partLoad = "load"
)

// message is a line that a part writes: how far it is, that it waits for its turn, or what it found, as members of a Result.
type message struct {
	Step   string          `json:"step,omitempty"`
	Done   float64         `json:"done,omitempty"`
	Ready  bool            `json:"ready,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// turn is a line that is written to a part that waits.
type turn struct{}

// RunPart does the part that it reads from in, in this process, which should do nothing else, and writes what it finds to out.
// It calls abandoned when in ends, for then nobody waits for it any more.
func RunPart(in io.Reader, out io.Writer, abandoned func()) error {
	began, lines, orders := time.Now(), json.NewEncoder(out), json.NewDecoder(in)
	j := &job{
		r:        newPartial(),
		progress: func(step string, done float64) { _ = lines.Encode(message{Step: step, Done: done}) },
	}
	if err := orders.Decode(&j.Part); err != nil {
		return fmt.Errorf("reading which part: %w", err)
	}
	j.Rounds, j.Slice = cmp.Or(j.Rounds, defaultRounds), cmp.Or(j.Slice, sliceFor(j.Subjects))
	turns := make(chan turn, 1)
	go func() {
		for {
			var t turn
			if orders.Decode(&t) != nil {
				abandoned()
				return
			}
			turns <- t
		}
	}()
	j.await = func() {
		_ = lines.Encode(message{Ready: true})
		<-turns
	}
	if err := j.run(); err != nil {
		return err
	}
	j.r.Parts[j.Name] = time.Since(began).Seconds()
	found, err := json.Marshal(j.r)
	if err != nil {
		return err
	}
	return lines.Encode(message{Result: found})
}

// Many short turns rather than a few long ones: what disturbs a machine for half a second then spoils one round of each loop.
const defaultRounds = 11

// sliceFor is how long a loop runs in a round: longer where it takes longer until caches are as they will stay.
func sliceFor(subjects uint64) time.Duration {
	const least, most = 15 * time.Millisecond, 40 * time.Millisecond
	return min(least+2*time.Duration(subjects), most)
}

// job is a part under way.
type job struct {
	Part
	r        *Result // what was found so far
	progress func(step string, done float64)
	await    func() // waits until nothing else is measured
}

func (j *job) run() error {
	switch rival, ok := rivals[j.Name]; {
	case j.Name == partGrow:
		return j.grow()
	case j.Name == partLoad:
		return j.load()
	case ok:
		return j.beside(rival)
	}
	return fmt.Errorf("there is no part %q", j.Name)
}
