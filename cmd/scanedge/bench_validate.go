package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/bench/day"
)

func newBenchValidateCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE|NAME",
		Short: "Check a scenario of a launch day",
		Long: `validate reads a scenario, from a file or one that is built in, and says what it is, or what is wrong with it and in which line.
Built in are ` + strings.Join(day.Scenarios(), ", ") + `.

Exit status: 0 it can be played, 2 it can't.`,
		Example: `  scanedge bench validate launch-day
  scanedge bench validate my-city.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := day.LoadScenario(args[0])
			if err != nil {
				return usageError("%w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n%s\n", s.Name, s.About, s.Words())
			return nil
		},
	}
}
