package main

import "github.com/spf13/cobra"

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

// checkRounds checks how often, and how many seconds long each time, a benchmark measures.
func checkRounds(rounds int, seconds float64) error {
	if rounds < 1 || rounds > 1000 {
		return usageError("--rounds is %d; it must be 1 to 1000", rounds)
	}
	if !(seconds >= 0.1 && seconds <= 3600) {
		return usageError("--seconds is %g; it must be 0.1 to 3600", seconds)
	}
	return nil
}
