package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// The most that one machine is asked for.
const (
	maxEdges    = 64
	maxSubjects = 100_000_000
)

func newUpCmd() *cobra.Command {
	var cfg fleet.Config
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole fleet on this machine, with a demo population",
		Long: `up starts an origin and some edges, each a process of its own, on this machine's loopback; pushes a demo population in the
issuers demo-a and demo-b; shows what runs where and how to talk to it; then prints a line a second until Ctrl-C, which
stops all of it. A process that dies is started again on its old addresses.

What is in --dir is kept: the next up finds the same data and pushes only what is missing. While all is ready, DIR/up.json
says what runs where, for scripts and for the other commands.

Demo subjects are d000000001, d000000002, ... in each issuer. Number n is yellow where n mod 100 is 7, red where it is 13,
void where 21, lapsed where 29, else green.`,
		Example: `  scanedge up
  scanedge up --dir /tmp/big --edges 4 --subjects 10000000 --listen 127.0.0.1:7001`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkUp(cfg); err != nil {
				return err
			}
			return runUp(cmd, cfg)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Dir, "dir", "var", "folder of the fleet's data, logs and up.json")
	flags.IntVar(&cfg.Edges, "edges", 2, fmt.Sprintf("how many edges, 1 to %d", maxEdges))
	flags.IntVar(&cfg.Subjects, "subjects", 1_000_000, fmt.Sprintf("demo subjects over both issuers, 0 to %d", maxSubjects))
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:0",
		"HOST:PORT where the first edge answers scans; port 0 picks a free one, as all else does")
	flags.BoolVar(&cfg.Limits, "limits", false, "limit who scans, strictly, by DIR/limits.yaml; without it the demo's scanner key and this machine have no limits")
	return cmd
}

func checkUp(cfg fleet.Config) error {
	if cfg.Dir == "" {
		return usageError("--dir must name a folder")
	}
	if cfg.Edges < 1 || cfg.Edges > maxEdges {
		return usageError("--edges is %d; it must be 1 to %d", cfg.Edges, maxEdges)
	}
	if cfg.Subjects < 0 || cfg.Subjects > maxSubjects {
		return usageError("--subjects is %d; it must be 0 to %d", cfg.Subjects, maxSubjects)
	}
	if _, _, err := net.SplitHostPort(cfg.Listen); err != nil {
		return usageError("--listen is %q; it must be HOST:PORT, such as 127.0.0.1:7001", cfg.Listen)
	}
	return nil
}

// runUp runs the fleet until the verb's context ends. Ctrl-C is the way to end it, hence no failure, even while it starts.
func runUp(cmd *cobra.Command, cfg fleet.Config) error {
	ctx, stop := untilHangup(cmd.Context())
	defer stop()
	out := cmd.OutOrStdout()
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the scanedge binary to start: %w", err)
	}
	cfg.Exe, cfg.Log = exe, cmd.ErrOrStderr()
	fmt.Fprintf(out, "starting an origin and %d edges in %s\n", cfg.Edges, cfg.Dir)
	f, err := fleet.Start(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		fmt.Fprintln(out, "stopped before it was up")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Stop()
	showUp(out, f.Up(), cfg.Dir)
	watch(ctx, out, f.Up())
	fmt.Fprintln(out, "\nstopping the edges, then the origin")
	f.Stop()
	fmt.Fprintf(out, "stopped; the data is kept in %s\n", cfg.Dir)
	return nil
}

// untilHangup ends also when the terminal is closed, but not under nohup. From then on a reader that goes away, as head does,
// is an error of the write and not the death of a process that has a fleet to stop. (That signal must not end ctx: a socket
// that breaks raises it too.)
func untilHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if signal.Ignored(syscall.SIGHUP) {
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}
