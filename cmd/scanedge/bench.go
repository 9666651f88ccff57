package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/bench/day"
	"github.com/scanedge/scanedge/bench/load"
	"github.com/scanedge/scanedge/bench/report"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// The fleet that a benchmark starts when it is given none.
const (
	benchEdges    = 2
	benchSubjects = 1_000_000
)

func newBenchCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Play load against a fleet, every answer checked",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchDayCmd(), newBenchScanCmd(), newBenchScanServerCmd(), newBenchValidateCmd())
	cmd.AddCommand(newBenchPrepareCmd(), newBenchCleanCmd(), newBenchSelfCmd(), newBenchSelfChildCmd())
	cmd.AddCommand(newBenchReportCmd(), newBenchDiffCmd())
	return cmd
}

// benchDay are the flags of bench day.
type benchDay struct {
	up       string
	out      string
	visits   int64
	duration time.Duration
	seed     uint64
	own      bool
}

func newBenchDayCmd() *cobra.Command {
	var b benchDay
	cmd := &cobra.Command{
		Use:   "day",
		Short: "Play a launch day",
		Long: `day plays visits at one constant rate over all edges of a fleet that has the demo population, and compares every answer
with what it must be: of 100 visits 85 ask for a known subject, 5 for an unknown one, 5 bring what is no code, 5 upload 20 codes.
The schedule is open: a visit is due at its time whether or not the ones before it were answered, and latency counts from
there. All along, canary subjects are turned at the origin and timed until every edge shows it.

A run changes only subjects that it names after its seed, and removes them at the end.

Exit status: 0 valid, right and every SLO kept; 1 a wrong answer, or valid and an SLO not kept; 2 usage; 3 invalid: the figures
can't be believed, and why is said.`,
		Example: `  scanedge bench day
  scanedge bench day --up var/up.json --visits 400000 --duration 20s --out reports`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&b.up, "up", "", fmt.Sprintf("up.json of the fleet to play against; without it, one of %d edges and "+
		"%d subjects is started and removed", benchEdges, benchSubjects))
	flags.Int64Var(&b.visits, "visits", 60_000, "how many visits")
	flags.DurationVar(&b.duration, "duration", 20*time.Second, "time over which the visits are spread")
	flags.Uint64Var(&b.seed, "seed", 1, "what the visits follow from; the same seed plays the same day")
	addOwn(cmd, &b.own)
	flags.StringVar(&b.out, "out", "", "folder in which the report is written, as JSON, text, JUnit and HTML, made if absent")
	return cmd
}

func (b *benchDay) run(cmd *cobra.Command) error {
	if err := b.check(); err != nil {
		return err
	}
	ctx, release := untilHangup(cmd.Context())
	defer release()
	up, stop, err := b.fleet(ctx, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer stop()
	config, err := b.config(up)
	if err != nil {
		return err
	}
	if err := mayPlay(up, b.own); err != nil {
		return err
	}
	asked := b.asked(config)
	config.Dir = b.out
	if b.out != "" {
		if err := report.Begin(b.out, asked); err != nil {
			return usageError("--out: %w", err)
		}
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "playing %v over %d edges, seed %d\n", config.Schedule, len(config.Edges), b.seed)
	config.Progress = func(now time.Duration, at load.Progress) { fmt.Fprintln(out, report.Line(now, at)) }
	result, err := day.Play(ctx, config)
	if err != nil {
		return usageError("%s: %w", b.up, err)
	}
	return b.tell(out, asked, result)
}

func (b *benchDay) check() error {
	if b.visits < 1 {
		return usageError("--visits is %d; it must be 1 or more", b.visits)
	}
	if b.duration < time.Second {
		return usageError("--duration is %v; it must be 1s or more", b.duration)
	}
	if b.out == "" {
		return nil
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return usageError("--out: %w", err)
	}
	probe, err := os.CreateTemp(b.out, report.File+".*") // better now than when the day is over
	if err != nil {
		return usageError("--out: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// fleet finds the fleet to play against, or starts one. What it started is gone after stop.
func (b *benchDay) fleet(ctx context.Context, log io.Writer) (up *fleet.Up, stop func(), err error) {
	if b.up != "" {
		if up, err = fleet.LoadUp(b.up); err != nil {
			return nil, nil, usageError("--up: %w", err)
		}
		return up, func() {}, nil
	}
	own, dir, err := startFleet(ctx, log)
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, &exitError{report.ExitInvalid, fmt.Errorf("starting a fleet to play against: %w", err)}
	}
	now := own.Up()
	return &now, func() { own.Stop(); os.RemoveAll(dir) }, nil
}

func startFleet(ctx context.Context, log io.Writer) (*fleet.Fleet, string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp("", "scanedge-bench-")
	if err != nil {
		return nil, "", err
	}
	own, err := fleet.Start(ctx, fleet.Config{Exe: exe, Dir: dir, Edges: benchEdges, Subjects: benchSubjects, Log: log})
	return own, dir, err
}

// config is the day to play against a fleet.
func (b *benchDay) config(up *fleet.Up) (day.Config, error) {
	if up.Subjects < 1 || len(up.Issuers) == 0 || len(up.Edges) == 0 {
		return day.Config{}, usageError("the fleet of --up has %d edges, %d issuers and %d demo subjects; a day needs all three",
			len(up.Edges), len(up.Issuers), up.Subjects)
	}
	c := day.Config{
		Origin:     up.Origin,
		PushToken:  up.PushToken,
		ScannerKey: up.ScannerKey,
		Population: day.Population{Issuers: up.Issuers, Subjects: uint64(up.Subjects)},
		Seed:       b.seed,
		Schedule:   load.Schedule{Visits: uint64(b.visits), Over: b.duration},
	}
	for _, e := range up.Edges {
		c.Edges = append(c.Edges, load.Edge{Name: e.Name, URL: e.Scan})
	}
	return c, nil
}

// asked is what a report says of the day beside its figures.
func (b *benchDay) asked(c day.Config) *report.Run {
	run := &report.Run{
		Mode: report.Endurance, Schedule: c.Schedule.String(), Visits: uint64(b.visits), Duration: b.duration.Seconds(), Seed: b.seed,
		Targets: report.DefaultTargets, Started: time.Now().UTC(), Environment: report.Here(), Version: version + commit(),
	}
	for _, e := range c.Edges {
		run.Edges = append(run.Edges, e.Name)
	}
	return run
}

// tell prints the report, writes it where it is wanted, and makes the verb exit as it says.
func (b *benchDay) tell(out io.Writer, asked *report.Run, result *day.Result) error {
	r := report.New(result.Result, result.Reasons)
	r.PushToVisible, r.AckToVisible = result.Visible, result.Acked
	r.Conclude(asked)
	err := r.Text(out)
	if b.out != "" {
		err = errors.Join(err, r.WriteFiles(b.out))
	}
	code := r.ExitCode()
	if err != nil && code == report.ExitRight {
		code = report.ExitInvalid // what nobody can read proves nothing
	}
	if code == report.ExitRight {
		return nil
	}
	return &exitError{code, err}
}
