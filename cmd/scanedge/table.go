package main

import (
	"github.com/spf13/cobra"
)

func newTableCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "table",
		Short: "Measure the status table; look into its snapshots and check them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTableBenchCmd(), newTableBenchPartCmd(), newTableInspectCmd(), newTableVerifyCmd())
	return cmd
}
