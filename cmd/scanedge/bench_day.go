package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
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

// benchDay are the flags of bench day.
type benchDay struct {
	up       string
	out      string
	visits   int64
	duration time.Duration
	seed     uint64
	scenario string
	mode     string
	from     time.Duration
	own      bool
}

func newBenchDayCmd() *cobra.Command {
	var b benchDay
	cmd := &cobra.Command{
		Use:   "day",
		Short: "Play a launch day",
		Long: `day plays visits over all edges of a fleet that has the demo population, and compares every answer with what it must be.
What visits ask, and how busy the day is at which time, says --scenario: ` + strings.Join(day.Scenarios(), ", ") + `, or a file
(scanedge bench validate says what it is). Without one, of 100 visits 85 ask for a known subject, 5 for an unknown one, 5 bring
what is no code, and 5 upload 20 codes.

A mode says which part of the day is played:
  endurance  all --visits in their order at one constant rate over --duration: no peaks, a plateau that no city ever had
  rhythm     the whole day's curve with its peaks in --duration, with as many times fewer visits: at the rates of a day of --visits
  slice      the part of it that begins at --from and takes --duration, as it was

The schedule is open: a visit is due at its time whether or not the ones before it were answered, and latency counts from
there. All along, canary subjects are turned at the origin and timed until every edge shows it.

A run changes only subjects that it names after its seed, and removes them at the end.

Exit status: 0 valid, right and every SLO kept; 1 a wrong answer, or valid and an SLO not kept; 2 usage; 3 invalid: the figures
can't be believed, and why is said.`,
		Example: `  scanedge bench day
  scanedge bench day --up var/up.json --visits 400000 --duration 20s --out reports
  scanedge bench day --up var/up.json --scenario launch-day --mode rhythm --duration 30m --out reports`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.mode != report.Endurance && !cmd.Flags().Changed("visits") {
				b.visits = dayVisits
			}
			return b.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&b.up, "up", "", fmt.Sprintf("up.json of the fleet to play against; without it, one of %d edges and "+
		"%d subjects is started and removed", benchEdges, benchSubjects))
	flags.Int64Var(&b.visits, "visits", 60_000, "how many visits; a rhythm and a slice are of a day of 170000000 unless this says otherwise")
	flags.DurationVar(&b.duration, "duration", 20*time.Second, "time over which the visits are spread")
	flags.Uint64Var(&b.seed, "seed", 1, "what the visits follow from; the same seed plays the same day")
	addOwn(cmd, &b.own)
	flags.StringVar(&b.out, "out", "", "folder in which the report is written, as JSON, text, JUnit and HTML, made if absent")
	flags.StringVar(&b.scenario, "scenario", "", "what visits ask, and when: a name or a YAML file")
	flags.StringVar(&b.mode, "mode", report.Endurance, "endurance, rhythm or slice; the latter two need a --scenario")
	flags.DurationVar(&b.from, "from", 0, "with --mode slice: when it begins, after midnight (7h30m)")
	return cmd
}

// dayVisits is what a city's code took on its first day (穗康, 2020).
const dayVisits = 170_000_000

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
	if err := mayPlay(up, config.Kinds(), b.own); err != nil {
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
	config.Progress = dayProgress(screenOf(cmd), config.Schedule.Over())
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
	if err := b.checkMode(); err != nil {
		return err
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

func (b *benchDay) checkMode() error {
	switch b.mode {
	case report.Endurance:
		return nil
	case report.Rhythm:
		if b.duration > day.Day {
			return usageError("--duration is %v; a day's rhythm takes 24h at most", b.duration)
		}
	case report.Slice:
		if b.from < 0 || b.from+b.duration > day.Day {
			return usageError("--from %v and --duration %v go beyond the day", b.from, b.duration)
		}
	default:
		return usageError("--mode is %q; it is endurance, rhythm or slice", b.mode)
	}
	if b.scenario == "" {
		return usageError("--mode %s needs a --scenario, whose curve it plays: %s", b.mode, strings.Join(day.Scenarios(), ", "))
	}
	return nil
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
		Origin:      cmp.Or(up.Origin, up.OriginTLS),
		PushToken:   up.PushToken,
		ScannerKey:  up.ScannerKey,
		ScannerKeys: up.ScannerKeys,
		Population:  day.Population{Issuers: up.Issuers, Subjects: uint64(up.Subjects)},
		Seed:        b.seed,
		Schedule:    load.Constant{N: uint64(b.visits), For: b.duration},
		Metrics: func(ctx context.Context, admin string) (map[string]float64, error) {
			return fleet.ReadMetrics(ctx, admin)
		},
	}
	c.Processes = []day.Process{{Name: "origin", Admin: up.OriginAdmin}}
	for _, e := range up.Edges {
		c.Edges = append(c.Edges, load.Edge{Name: e.Name, URL: e.Scan, TLS: e.ScanTLS})
		c.Processes = append(c.Processes, day.Process{Name: e.Name, Admin: e.Admin})
	}
	if err := caFlag("").trust(up.CA, func(roots *x509.CertPool) { c.Roots = roots }); err != nil {
		return c, err
	}
	if b.scenario == "" {
		return c, nil
	}
	return c, b.play(&c, up)
}

// play makes the day that of the scenario.
func (b *benchDay) play(c *day.Config, up *fleet.Up) (err error) {
	if c.Scenario, err = day.LoadScenario(b.scenario); err != nil {
		return usageError("--scenario: %w", err)
	}
	if up.CodeKeys == "" {
		return usageError("--up names no file of code keys, by which the holders' codes of a scenario are made")
	}
	if c.CodeKeys, err = day.LoadCodeKeys(up.CodeKeys); err != nil {
		return usageError("--up: %w", err)
	}
	c.Visits = uint64(b.visits)
	if b.mode == report.Rhythm {
		c.Visits = max(1, uint64(float64(b.visits)*b.duration.Seconds()/day.Day.Seconds()))
	}
	requests, _ := c.Scenario.Requests(c.Visits)
	switch b.mode {
	case report.Rhythm:
		c.Schedule = day.NewArrivals(b.seed, c.Scenario.Curve, requests, b.duration)
	case report.Slice:
		part := day.NewArrivals(b.seed, c.Scenario.Curve, requests, day.Day).Hour(b.from, b.from+b.duration)
		if part.Visits() == 0 {
			return usageError("nobody comes in the %v from %v on; choose another --from, a longer --duration or more --visits", b.duration, b.from)
		}
		c.Schedule, c.First = part, part.First()
	default:
		c.Schedule = load.Constant{N: requests, For: b.duration}
	}
	return nil
}

// asked is what a report says of the day beside its figures.
func (b *benchDay) asked(c day.Config) *report.Run {
	name, targets := "", report.DefaultTargets
	if c.Scenario != nil {
		name, targets = c.Scenario.Name, report.Targets(c.Scenario.SLOs)
	}
	run := &report.Run{
		Mode: b.mode, Scenario: name, Schedule: c.Schedule.String(), Visits: c.Schedule.Visits(), Duration: b.duration.Seconds(), Seed: b.seed,
		Targets: targets, Started: time.Now().UTC(), Environment: report.Here(), Version: version + commit(),
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
	var err error
	if b.out != "" {
		err = r.WriteFiles(b.out) // it also adds to the report what follows from the log of seconds
	}
	err = errors.Join(err, r.Text(out))
	code := r.ExitCode()
	if err != nil && code == report.ExitRight {
		code = report.ExitInvalid // what nobody can read proves nothing
	}
	if code == report.ExitRight {
		return nil
	}
	return &exitError{code, err}
}
