package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

func newRollbackCmd() *cobra.Command {
	var f operatorFlags
	var to uint64
	var note string
	var dryRun bool
	var agreed consent
	cmd := &cobra.Command{
		Use:   "rollback ISSUER --to OFFSET",
		Short: "Bring back what an issuer's table held at an offset",
		Long: `rollback computes what must be pushed so that every subject has again the record that it had at OFFSET, or none, shows it, asks, and
pushes it: the log keeps what was in between. It goes back as far as the origin's snapshots and its log do. While it runs the
origin holds a second table in memory.`,
		Example: `  scanedge rollback demo-a --to 1742 --dry-run
  scanedge rollback demo-a --to 1742
  scanedge rollback demo-a --to 1742 --yes --note "the file of Tuesday was last year's"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("to") {
				return usageError("to which offset? Give --to OFFSET; see %s --help", cmd.CommandPath())
			}
			operator, err := f.open()
			if err != nil {
				return err
			}
			if dryRun {
				return dryRollBack(cmd, operator, &f, args[0], to)
			}
			return rollBack(cmd, operator, &f, args[0], to, note, agreed)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what the rollback would do, and push nothing")
	cmd.Flags().Uint64Var(&to, "to", 0, "offset to go back to: that of a batch, or any after it")
	cmd.Flags().StringVar(&note, "note", "", "text to keep beside the push in the log")
	agreed.add(cmd, "agree to what is shown")
	return cmd
}

// orderRollback sends a rollback, or what asks for its preview, to the origin.
func orderRollback(cmd *cobra.Command, operator *scanedge.Operator, issuer string, to uint64, order map[string]any, answer any) error {
	order["to"] = to
	what := fmt.Sprintf("roll %s back to offset %d", issuer, to)
	return operator.Call(cmd.Context(), what, http.MethodPost, issuerURL(issuer, "rollback"), order, answer)
}

func previewRollback(cmd *cobra.Command, operator *scanedge.Operator, issuer string, to uint64) (p scanedge.Preview, err error) {
	err = orderRollback(cmd, operator, issuer, to, map[string]any{"dry_run": true}, &p)
	return p, err
}

// dryRollBack says what a rollback would do.
func dryRollBack(cmd *cobra.Command, operator *scanedge.Operator, f *operatorFlags, issuer string, to uint64) error {
	p, err := previewRollback(cmd, operator, issuer, to)
	if err != nil {
		return err
	}
	return printDryRun(cmd, f.asJSON, issuer, p)
}

func rollBack(cmd *cobra.Command, operator *scanedge.Operator, f *operatorFlags, issuer string, to uint64, note string, agreed consent) error {
	p, err := previewRollback(cmd, operator, issuer, to)
	if err != nil {
		return err
	}
	if err := printPreview(cmd.ErrOrStderr(), issuer, p); err != nil {
		return err
	}
	if err := agreed.toPreview(cmd, fmt.Sprintf("Bring back what %s held at offset %d?", issuer, to)); err != nil {
		return err
	}
	var a scanedge.Applied
	accepted := map[string]any{"offset": p.Offset, "digest": p.Digest, "note": note}
	if err := orderRollback(cmd, operator, issuer, to, accepted, &a); err != nil {
		return err
	}
	return printApplied(cmd, f.asJSON, fmt.Sprintf("rolled %s back to offset %d", issuer, to), a)
}
