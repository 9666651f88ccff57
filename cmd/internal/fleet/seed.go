package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/scanedge/scanedge"
)

// pieceLines is the most deltas of one push: far from the origin's limit, and enough that a push's fixed cost is nothing.
const pieceLines = 250_000

// patience is how often a push is tried while the origin is being restarted, some 13 s in all.
const patience = 12

// demoState is DIR/demo.json: how far the origin holds the demo population. While a start changes it, the two numbers
// differ, so a start that was killed half-way is mended by the next.
type demoState struct {
	Version  int `json:"version"`  // 1
	Subjects int `json:"subjects"` // the population of this many is acknowledged
	Touched  int `json:"touched"`  // no demo subject beyond the population of this many was ever pushed, or it is removed
}

const demoVersion = 1

// change is a run of subjects of one issuer to push or to remove: the numbers from+1 to to.
type change struct {
	issuer   string
	from, to int
	remove   bool
}

// seed brings the origin's demo population to the size that was asked for, and returns the last offset that it acknowledged
// for each issuer; none where nothing was to be done.
func (f *Fleet) seed(ctx context.Context) (map[string]uint64, error) {
	path := filepath.Join(f.cfg.Dir, "demo.json")
	was, err := loadDemo(path)
	if err != nil {
		return nil, err
	}
	held, err := ReadMetrics(ctx, f.origin.admin)
	if err != nil {
		return nil, fmt.Errorf("asking the origin what it holds: %w", err)
	}
	if !was.heldBy(held) {
		was.Subjects = 0
	}
	want := f.cfg.Subjects
	if was.Subjects == want && was.Touched == want {
		return nil, nil
	}
	now := demoState{demoVersion, min(was.Subjects, want), max(was.Touched, want)}
	if err := now.save(path); err != nil {
		return nil, err
	}
	acked, err := f.apply(ctx, changes(now, want))
	if err != nil {
		return nil, fmt.Errorf("pushing the demo subjects: %w", err)
	}
	return acked, demoState{demoVersion, want, want}.save(path)
}

// changes is what leads from now to a population of want, in pushes, a list for each issuer.
func changes(now demoState, want int) [][]change {
	held, touched, wanted := DemoSplit(now.Subjects), DemoSplit(now.Touched), DemoSplit(want)
	todo := make([][]change, len(DemoIssuers))
	for i, issuer := range DemoIssuers {
		todo[i] = append(pieces(change{issuer, held[i], wanted[i], false}), pieces(change{issuer, wanted[i], touched[i], true})...)
	}
	return todo
}

func pieces(c change) (all []change) {
	for from := c.from; from < c.to; from += pieceLines {
		all = append(all, change{c.issuer, from, min(from+pieceLines, c.to), c.remove})
	}
	return all
}

// apply pushes the changes, issuers side by side, and returns the last offset of each.
func (f *Fleet) apply(ctx context.Context, todo [][]change) (map[string]uint64, error) {
	last := make([]uint64, len(todo))
	group, ctx := errgroup.WithContext(ctx)
	for i, list := range todo {
		group.Go(func() (err error) {
			for _, c := range list {
				f.note("%v", c)
				if last[i], err = f.pushPatiently(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	acked := map[string]uint64{}
	for i, offset := range last {
		acked[DemoIssuers[i]] = offset
	}
	return acked, nil
}

// pushPatiently pushes again when the outcome is unknown: deltas set whole records, so twice is as once.
func (f *Fleet) pushPatiently(ctx context.Context, c change) (uint64, error) {
	var b backoff
	for try := 1; ; try++ {
		offset, err := push(ctx, f.Up(), c)
		var refusal *scanedge.Problem
		if err == nil || ctx.Err() != nil || try == patience || errors.As(err, &refusal) && refusal.Status < 500 {
			return offset, err
		}
		f.note("%v failed and is tried again: %v", c, err)
		if !sleep(ctx, b.next(0)) {
			return 0, err
		}
	}
}

// push is one push: NDJSON written while it is sent.
func push(ctx context.Context, up Up, c change) (uint64, error) {
	r, w := io.Pipe()
	defer r.Close() // whatever happens, the writer ends
	go func() { w.CloseWithError(c.write(w)) }()
	receipt, err := scanedge.NewOrigin(up.Origin, up.PushToken).PushReader(ctx, c.issuer, scanedge.NDJSON, r)
	return receipt.Offset, err
}

// WriteDemo writes the deltas of the demo subjects 1 to n of one issuer, a line of NDJSON each.
func WriteDemo(w io.Writer, n int) error { return change{to: n}.write(w) }

// write writes the deltas, a line each.
func (c change) write(w io.Writer) error {
	buf := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(buf)
	for n := c.from + 1; n <= c.to; n++ {
		d := DemoDelta(n)
		if c.remove {
			d = scanedge.Delta{Subject: d.Subject, Remove: true}
		}
		if err := enc.Encode(d); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// String reads like "pushing demo-a:d000000001 to d000250000".
func (c change) String() string {
	verb := "pushing"
	if c.remove {
		verb = "removing"
	}
	return fmt.Sprintf("%s %s:%s to %s", verb, c.issuer, DemoSubject(c.from+1), DemoSubject(c.to))
}

// heldBy compares with what the origin counts: its data may have been removed, or subjects of ours by hand.
func (s demoState) heldBy(m Metrics) bool {
	for i, n := range DemoSplit(s.Subjects) {
		if held, _ := m.Issuer("scanedge_subjects", DemoIssuers[i]); held < float64(n) {
			return false
		}
	}
	return true
}

// loadDemo reads what earlier starts pushed; no file is nothing.
func loadDemo(path string) (demoState, error) {
	var s demoState
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err == nil && s.Version != demoVersion {
		err = fmt.Errorf("it has version %d, this scanedge knows %d", s.Version, demoVersion)
	}
	if err != nil {
		return s, fmt.Errorf("reading %s, which says what demo subjects were pushed: %w; use the scanedge that wrote it, "+
			"or remove the fleet's folder", path, err)
	}
	return s, nil
}

func (s demoState) save(path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}
