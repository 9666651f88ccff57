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
