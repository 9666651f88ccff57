package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/bench/micro/table"
)

const benchPart = "bench-part"

// newTableBenchPartCmd is what bench runs in a process of its own.
func newTableBenchPartCmd() *cobra.Command {
	return &cobra.Command{
		Use:    benchPart,
		Short:  "Do one part of table bench, as standard input says",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Its standard input ends with the process that waits for it, and so must it.
			return table.RunPart(cmd.InOrStdin(), cmd.OutOrStdout(), func() { os.Exit(exitFailure) })
		},
	}
}

// tablePart is the command of a part.
func tablePart(ctx context.Context) *exec.Cmd { return ownCommand(ctx, "table", benchPart) }

// ownCommand is a command of this program. Settings in the environment are for the verb that asked for it.
func ownCommand(ctx context.Context, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	cmd := exec.CommandContext(ctx, exe, args...)
	if err != nil {
		cmd.Err = fmt.Errorf("finding the program to start: %w", err)
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envPrefix) })
	return cmd
}
