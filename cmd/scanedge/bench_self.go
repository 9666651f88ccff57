package main

import (
	"context"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/bench/micro/self"
)

const benchSelfChild = "self-child"

// benchSelf are the flags of bench self.
type benchSelf struct {
	rounds  int
	seconds float64
	json    bool
}

func newBenchSelfCmd() *cobra.Command {
	var b benchSelf
	cmd := &cobra.Command{
		Use:   "self",
		Short: "Measure what the load's generator carries by itself",
		Long: `self measures, in turns, how many answers a second the suite's generator takes from bare fasthttp with a constant verdict, and what each
costs it of its processor: carrying them, recording them, and judging every one as on a launch day. Beside it: vegeta with its own net/http
client and, where it is installed, wrk. Server and generator have a processor each and 128 connections between them; nothing is paced. So it
says what the generator does not hold up, and nothing of how late a fleet answers.

All figures are of this machine; whoever else works on it is in them. Linux, with two processors.

Exit status: 0 measured; 1 it could not be measured, or an answer was none; 2 usage.`,
		Example: `  scanedge bench self
  scanedge bench self --rounds 9 --seconds 3 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	flags := cmd.Flags()
	flags.IntVar(&b.rounds, "rounds", 5, "how many times each generator is measured")
	flags.Float64Var(&b.seconds, "seconds", 2, "how long each time, in seconds; wrk takes whole ones")
	flags.BoolVar(&b.json, "json", false, "print the result as a JSON object")
	return cmd
}

func (b *benchSelf) run(cmd *cobra.Command) error {
	if err := checkRounds(b.rounds, b.seconds); err != nil {
		return err
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

func (b *benchSelf) measure(cmd *cobra.Command) (*self.Result, error) {
	ctx, release := untilHangup(cmd.Context())
	defer release()
	bar := newBenchProgress(cmd.ErrOrStderr(), "generators")
	defer bar.stop()
	return self.Run(ctx, self.Config{
		Rounds: b.rounds, Slice: time.Duration(b.seconds * float64(time.Second)), Progress: bar.show,
		Child: func() *exec.Cmd { return ownCommand(context.WithoutCancel(ctx), "bench", benchSelfChild) },
	})
}

// newBenchSelfChildCmd is what bench self runs in processes of their own.
func newBenchSelfChildCmd() *cobra.Command {
	return &cobra.Command{
		Use:    benchSelfChild,
		Short:  "Be a server or a generator of bench self, as standard input says",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return self.Child(cmd.InOrStdin(), cmd.OutOrStdout()) },
	}
}
