package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/scanedge/scanedge"
)

// statusFlags are those of status.
type statusFlags struct {
	operatorFlags
	watch   bool
	timeout time.Duration
}

func newStatusCmd() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether a fleet is healthy: issuers, edges, and what is wrong",
		Long: `status asks the origin for what it knows of itself and of its edges: whether all is well and what is not, each issuer's offset, log and
snapshot, and of each edge how old its tables are, whether they agree with the origin's, and how much it is asked.

As a probe it asks once, for no longer than --timeout. With --watch it asks each second until Ctrl-C, draws in place on a terminal and
elsewhere prints a line a second and one for what comes and goes; an origin that is away is asked again.

Exit status: 0 healthy, 1 degraded or no answer, 2 usage. With --watch 0 when it is ended.`,
		Example: `  scanedge status
  scanedge status --watch
  SCANEDGE_TOKEN=admin-… scanedge status --origin https://origin.example:7020 --ca ca.pem --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.watch, "watch", false, "ask each second, until Ctrl-C")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	return cmd
}

func (f *statusFlags) run(cmd *cobra.Command) error {
	if f.watch && f.asJSON {
		return usageError("--watch prints for people; give it or --json")
	}
	if f.timeout <= 0 {
		return usageError("--timeout is %s; it must be above 0s, such as 5s", f.timeout)
	}
	operator, err := f.open()
	if err != nil {
		return err
	}
	ask := func(ctx context.Context) (scanedge.FleetStatus, error) { return askStatus(ctx, operator, f.timeout) }
	s := screenOf(cmd)
	if f.watch {
		return watchStatus(cmd.Context(), s, ask)
	}
	status, err := ask(cmd.Context())
	if err != nil {
		return err
	}
	if err := f.print(cmd, status, func() error { return s.show(status) }); err != nil {
		return err
	}
	if status.State != scanedge.Healthy {
		return &exitError{code: exitFailure} // what was printed says why
	}
	return nil
}

// askStatus asks once. Status 200 without a state that is known is no answer: a probe must not take it for health.
func askStatus(ctx context.Context, operator *scanedge.Operator, within time.Duration) (s scanedge.FleetStatus, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %s", within))
	defer cancel()
	err = operator.Call(ctx, "ask for the fleet's status", http.MethodGet, "/v1/status", nil, &s)
	if err == nil && s.State != scanedge.Healthy && s.State != scanedge.Degraded {
		err = fmt.Errorf("ask for the fleet's status: the answer's state is %q; is it an origin's address?", s.State)
	}
	return s, err
}

// screenOf is where a verb prints: 0 columns of no terminal, which cuts nothing and has no colour.
func screenOf(cmd *cobra.Command) screen {
	s := screen{out: cmd.OutOrStdout()}
	file := terminalOf(s.out)
	if file == nil || os.Getenv("TERM") == "dumb" {
		return s
	}
	s.size = func() (columns, lines int) {
		columns, lines, err := term.GetSize(int(file.Fd()))
		if err != nil || columns <= 0 || lines <= 0 {
			return 80, 24
		}
		return columns, lines
	}
	s.colour = os.Getenv("NO_COLOR") == ""
	return s
}
