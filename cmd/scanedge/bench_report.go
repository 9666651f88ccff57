package main

import (
	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/bench/report"
)

func newBenchReportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Make the report of a run, also of one that was killed",
		Long: `report reads the folder that bench day was given as --out, prints the report, and writes report.json, report.txt, junit.xml and
report.html there. Of a run that was killed it makes the report from its log of seconds, up to the last one that was written whole,
and says that it is INVALID; its percentiles are then upper bounds.

Exit status: that of the run, as of bench day; 2 where the folder has no run, or can't be written to.`,
		Example: `  scanedge bench report var/bench`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := report.Read(args[0])
			if err != nil {
				return usageError("%w", err)
			}
			if err := r.WriteFiles(args[0]); err != nil {
				return usageError("%w", err)
			}
			if err := r.Text(cmd.OutOrStdout()); err != nil {
				return err
			}
			if code := r.ExitCode(); code != report.ExitRight {
				return &exitError{code, nil}
			}
			return nil
		},
	}
}

func newBenchDiffCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Set two runs' reports side by side",
		Long: `diff prints the figures of two runs, each a folder that bench day was given as --out or a report.json that was kept, and how many
times the first's are in the second's. What was not alike (the mode, the seed, the machine, the version) is said before.

Exit status: 0 compared, whatever the figures; 2 there is no report.`,
		Example: `  scanedge bench diff var/before var/after`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var reports [2]*report.Report
			for i, dir := range args {
				var err error
				if reports[i], err = report.Read(dir); err != nil {
					return usageError("%w", err)
				}
			}
			return report.Diff(cmd.OutOrStdout(), args[0], args[1], reports[0], reports[1])
		},
	}
}
