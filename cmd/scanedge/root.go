package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes that every verb keeps; a verb may add its own with exitError.
const (
	exitFailure = 1
	exitUsage   = 2
)

// exitError carries an exit code other than 1 out of a verb. A nil Err exits in silence: the verb has said it all.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError marks err as the caller's: a flag or an argument that makes no sense.
func usageError(format string, a ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, a...)}
}

// checkURL checks the base URL of a server, as a flag gave it.
func checkURL(flag, base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError("%s is %q; it must be a URL such as http://127.0.0.1:7000", flag, base)
	}
	return nil
}

// run is main without the exit. SIGINT and SIGTERM cancel the verb's context; the verb drains and returns nil.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintln(os.Stderr, "scanedge:", msg)
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "scanedge",
		Short: "A scan verification edge: one code in, one verdict out, in microseconds",
		Long: `scanedge answers scans at the gate from memory, kept exact by deltas from the origin.

  scanedge up                          a whole fleet on this machine, with a demo population
  scanedge scan demo-a:d000000001      ask an edge
  scanedge push demo-a deltas.csv      push statuses
  scanedge bench day --up var/up.json  play a launch day against a fleet, every answer checked

Every flag may be given as SCANEDGE_<FLAG> in the environment (--admin-listen as SCANEDGE_ADMIN_LISTEN) or as
"admin-listen: …" in the YAML file that --config names. A flag wins over the environment, the environment over the file.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if forShells(cmd) {
				return nil // a shell's start must not fail for settings that are meant for others
			}
			return configure(cmd)
		},
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().String("config", "", "YAML file with settings, a flag's name a key")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(newVersionCmd(), newPushCmd(), newScanCmd(), newBenchCmd(), newTableCmd(), newBatchCmd(), newUpCmd(), newOriginCmd(), newEdgeCmd())
	root.AddCommand(newTokenCmd(), newIssuerCmd(), newCodeCmd(), newStatusCmd())
	root.AddCommand(newHeldCmd(), newApproveCmd(), newRollbackCmd(), newSubjectCmd())
	root.AddCommand(newBackupCmd(), newRestoreCmd())
	addCompletion(root)
	usageArgs(root)
	return root
}

// usageArgs makes wrong positional arguments exit as wrong flags do.
func usageArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError("%w; see %s --help", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageArgs(sub)
	}
}
