package main

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	scanbench "github.com/scanedge/scanedge/bench/micro/scan"
)

// benchScan are the flags of bench scan.
type benchScan struct {
	subjects int64
	rounds   int
	seconds  float64
	rows     []string
	dir      string
	json     bool
}

func newBenchScanCmd() *cobra.Command {
	var b benchScan
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Measure the scan path beside bare fasthttp, nginx and Redis",
		Long: `scan measures an edge that holds so many subjects, on one processor, asked from another one over 64 kept connections: plain,
rolling and signed codes one by one, plain ones pipelined, and batches of 1,000. Beside it, in turns: bare fasthttp that gives a constant
answer of the same size, nginx that returns it, and Redis with the same statuses, one by one and pipelined, where these are installed. It
also shows how long scans take inside the edge, by its own histogram, beside an empty loop on the same processor, and what the handler
costs without a network.

Rows: ` + strings.Join(scanbench.RowNames(), ", ") + `.

The table takes 16 bytes a subject, Redis some 130; where memory is short Redis gets fewer, and its row says so. All figures are of this
machine; whoever else works on it is in them. Linux, with two processors.

Exit status: 0 measured, also where a goal is missed; 1 it could not be measured, or an answer was none; 2 usage.`,
		Example: `  scanedge bench scan
  scanedge bench scan --subjects 1000000 --seconds 1 --rounds 3 --rows constant,plain,batch --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Int64Var(&b.subjects, "subjects", 100_000_000, "how many subjects the edge holds")
	flags.IntVar(&b.rounds, "rounds", 5, "how many times each row is measured")
	flags.Float64Var(&b.seconds, "seconds", 3, "how long each time, in seconds")
	flags.StringSliceVar(&b.rows, "rows", nil, "the rows to measure (default all)")
	flags.StringVar(&b.dir, "dir", "", "folder for the rivals' files (default the system's for temporary files)")
	flags.BoolVar(&b.json, "json", false, "print the result as a JSON object")
	return cmd
}

func (b *benchScan) run(cmd *cobra.Command) error {
	if b.subjects < scanbench.MinSubjects || b.subjects > scanbench.MaxSubjects {
		return usageError("--subjects is %d; it must be %d to %d", b.subjects, scanbench.MinSubjects, scanbench.MaxSubjects)
	}
	if err := checkRounds(b.rounds, b.seconds); err != nil {
		return err
	}
	if err := scanbench.CheckRows(b.rows); err != nil {
		return usageError("--rows: %w", err)
	}
	r, err := b.measure(cmd)
	if err != nil {
		return err
	}
	if b.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return r.Text(cmd.OutOrStdout())
}

func (b *benchScan) measure(cmd *cobra.Command) (*scanbench.Result, error) {
	ctx, release := untilHangup(cmd.Context())
	defer release()
	bar := newBenchProgress(cmd.ErrOrStderr(), many(int(b.subjects), "subject"))
	defer bar.stop()
	return scanbench.Run(ctx, scanbench.Config{
		Subjects: uint64(b.subjects), Rounds: b.rounds, Slice: time.Duration(b.seconds * float64(time.Second)), Rows: b.rows, Dir: b.dir,
		Child:    func() *exec.Cmd { return ownCommand(context.WithoutCancel(ctx), "bench", benchServer) },
		Progress: bar.show,
	})
}
