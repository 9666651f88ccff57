package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

func newScanCmd() *cobra.Command {
	var urls []string
	var key, up string
	var ca caFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "scan [CODE…]",
		Short: "Ask an edge for the verdict on codes",
		Long: `scan asks an edge for the verdict on each code and prints a line for each, in order. Without a code, or with -, it
reads codes from standard input, a line each, and answers them as they come.

A plain code is ISSUER:SUBJECT, in its own characters: nothing of it needs to be percent-encoded.

With several edges the first is asked, and the next when that can't answer or is slow.

Exit status: 0 if every code got a verdict, whatever its colour; 1 if one did not, or the edge could not be asked.`,
		Example: `  scanedge scan demo-a:d000000001
  scanedge scan --json < codes.txt
  scanedge scan --edge http://127.0.0.1:7001 --key KEY demo-a:d000000013 demo-b:d000000007`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, codes []string) error {
			edges, err := edgesToAsk(urls, key, up, ca)
			if err != nil {
				return err
			}
			return scan(cmd, edges, codes, asJSON)
		},
	}
	cmd.Flags().StringSliceVar(&urls, "edge", nil, "URL of the edge's scan listener; more than once for several, the nearest first")
	cmd.Flags().StringVar(&key, "key", "", "scanner key")
	cmd.Flags().StringVar(&up, "up", "", upUsage+" edges and the scanner key")
	ca.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each answer as the edge's JSON")
	return cmd
}

// defaultUp is where scanedge up leaves its file when it is started in the same folder.
const (
	defaultUp = "var/" + fleet.UpFile
	upUsage   = "up.json of a running fleet (default " + defaultUp + " if it is there), for its"
)

// runningFleet reads the file that --up names. Without --up, and without the address of a server, it is the fleet that runs
// from this folder; if there is none, the zero Up.
func runningFleet(up, address string) (*fleet.Up, error) {
	if up == "" {
		if address != "" {
			return new(fleet.Up), nil
		}
		if _, err := os.Stat(defaultUp); errors.Is(err, fs.ErrNotExist) {
			return new(fleet.Up), nil
		}
		up = defaultUp
	}
	return fleet.LoadUp(up)
}

// secret is the token to bring to server: the one that was given, else that of the fleet, which is for its own servers alone.
func secret(given, ofFleet, server string, ofTheFleet ...string) string {
	if given == "" && slices.Contains(ofTheFleet, strings.TrimSuffix(server, "/")) {
		return ofFleet
	}
	return given
}

// edgesToAsk are the edges that are named, else those of a fleet.
func edgesToAsk(urls []string, key, up string, ca caFlag) (*scanedge.Edges, error) {
	f, err := runningFleet(up, strings.Join(urls, ""))
	if err != nil {
		return nil, err
	}
	var own []string
	named := len(urls) > 0
	for _, e := range f.Edges {
		own = append(own, e.Scan, e.ScanTLS)
		if !named && e.Scan != "" { // it is not up yet
			urls = append(urls, e.Scan)
		}
	}
	var edges []*scanedge.Edge
	for _, url := range urls {
		of := secret(key, f.ScannerKey, url, own...)
		if url == "" || of == "" {
			edges = nil
			break
		}
		if err := checkURL("--edge", url); err != nil {
			return nil, err
		}
		edge := scanedge.NewEdge(url, of)
		if err := ca.trust(f.CA, edge.TrustCA); err != nil {
			return nil, err
		}
		edges = append(edges, edge)
	}
	if len(edges) == 0 {
		return nil, usageError("which edge, with which key? Give --edge URL and --key KEY, " +
			"or --up FILE of a fleet that runs, whose key is for that fleet's own edges alone")
	}
	return scanedge.NewEdges(edges...), nil
}

// scan prints the answers. Its error is silent when the lines have said it all.
func scan(cmd *cobra.Command, edges *scanedge.Edges, codes []string, asJSON bool) error {
	ctx, p := cmd.Context(), &answerPrinter{out: bufio.NewWriter(cmd.OutOrStdout()), json: asJSON}
	var err error
	switch {
	case len(codes) == 0 || len(codes) == 1 && codes[0] == "-":
		if terminalOf(cmd.InOrStdin()) != nil {
			cmd.PrintErrln("Codes, a line each; Ctrl-D ends.")
		}
		err = scanLines(ctx, edges, cmd.InOrStdin(), p)
	case len(codes) == 1:
		err = scanOne(ctx, edges, codes[0], p)
	default:
		err = scanBatch(ctx, edges, codes, p)
	}
	if err == nil && p.errors > 0 {
		return &exitError{code: exitFailure}
	}
	return err
}

// scanOne prints what is wrong with the code as its answer, and returns what is wrong with the asking.
func scanOne(ctx context.Context, edges *scanedge.Edges, code string, p *answerPrinter) error {
	verdict, err := edges.Scan(ctx, code)
	a := scanedge.Answer{Verdict: verdict}
	if problem := (*scanedge.Problem)(nil); errors.As(err, &problem) {
		switch problem.Type {
		case scanedge.MalformedCode, scanedge.UnknownSubject, scanedge.IssuerNotHeld, scanedge.PlainForbidden, scanedge.ForgedCode,
			scanedge.CodeExpired, scanedge.NotYetValid, scanedge.ClockAhead, scanedge.NotReady, scanedge.TooStale, scanedge.Behind:
			a.Error, a.AheadS, err = problem.Type, problem.AheadS, nil
		}
	}
	if err != nil {
		return err
	}
	return p.print([]string{code}, []scanedge.Answer{a})
}

func scanBatch(ctx context.Context, edges *scanedge.Edges, codes []string, p *answerPrinter) error {
	answers, err := edges.ScanMany(ctx, codes)
	if err != nil {
		return err
	}
	return p.print(codes, answers)
}

// scanLines asks for the codes that have arrived while it asked for those before: one by one from a hand, in full requests
// from a file.
func scanLines(ctx context.Context, edges *scanedge.Edges, in io.Reader, p *answerPrinter) error {
	const atOnce = 10_000
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var readErr error
	arrived := make(chan string, atOnce)
	go func() { // apart, for a read from a terminal can't be interrupted
		defer close(arrived)
		readErr = readCodes(ctx, in, arrived)
	}()
	for codes := make([]string, 0, atOnce); ; codes = codes[:0] {
		select {
		case code, ok := <-arrived:
			if !ok {
				return readErr
			}
			codes = append(codes, code)
		case <-ctx.Done():
			return errInterrupted
		}
		for len(codes) < atOnce && len(arrived) > 0 {
			codes = append(codes, <-arrived)
		}
		if err := scanBatch(ctx, edges, codes, p); err != nil {
			return err
		}
	}
}

var errInterrupted = errors.New("interrupted")

func readCodes(ctx context.Context, in io.Reader, to chan<- string) error {
	const longest = 1 << 20
	lines, n := bufio.NewScanner(in), 0
	lines.Buffer(nil, longest)
	for ; lines.Scan(); n++ {
		select {
		case to <- lines.Text():
		case <-ctx.Done():
			return errInterrupted
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading codes: line %d: %w", n+1, err)
	}
	return nil
}
