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
	var url, key, up string
	var ca caFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "scan [CODE…]",
		Short: "Ask an edge for the verdict on codes",
		Long: `scan asks an edge for the verdict on each code and prints a line for each, in order. Without a code, or with -, it
reads codes from standard input, a line each, and answers them as they come.

A plain code is ISSUER:SUBJECT, in its own characters: nothing of it needs to be percent-encoded.

Exit status: 0 if every code got a verdict, whatever its colour; 1 if one did not, or the edge could not be asked.`,
		Example: `  scanedge scan demo-a:d000000001
  scanedge scan --json < codes.txt
  scanedge scan --edge http://127.0.0.1:7001 --key KEY demo-a:d000000013 demo-b:d000000007`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, codes []string) error {
			edge, err := edgeToAsk(url, key, up, ca)
			if err != nil {
				return err
			}
			return scan(cmd, edge, codes, asJSON)
		},
	}
	cmd.Flags().StringVar(&url, "edge", "", "URL of the edge's scan listener")
	cmd.Flags().StringVar(&key, "key", "", "scanner key")
	cmd.Flags().StringVar(&up, "up", "", upUsage+" first edge and the scanner key")
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

func edgeToAsk(url, key, up string, ca caFlag) (*scanedge.Edge, error) {
	f, err := runningFleet(up, url)
	if err != nil {
		return nil, err
	}
	if url == "" && len(f.Edges) > 0 {
		url = f.Edges[0].Scan
	}
	var edges []string
	for _, e := range f.Edges {
		edges = append(edges, e.Scan, e.ScanTLS)
	}
	key = secret(key, f.ScannerKey, url, edges...)
	if url == "" || key == "" {
		return nil, usageError("which edge, with which key? Give --edge URL and --key KEY, " +
			"or --up FILE of a fleet that runs, whose key is for that fleet's own edges alone")
	}
	if err := checkURL("--edge", url); err != nil {
		return nil, err
	}
	edge := scanedge.NewEdge(url, key)
	return edge, ca.trust(f.CA, edge.TrustCA)
}

// scan prints the answers. Its error is silent when the lines have said it all.
func scan(cmd *cobra.Command, edge *scanedge.Edge, codes []string, asJSON bool) error {
	ctx, p := cmd.Context(), &answerPrinter{out: bufio.NewWriter(cmd.OutOrStdout()), json: asJSON}
	var err error
	switch {
	case len(codes) == 0 || len(codes) == 1 && codes[0] == "-":
		if terminalOf(cmd.InOrStdin()) != nil {
			cmd.PrintErrln("Codes, a line each; Ctrl-D ends.")
		}
		err = scanLines(ctx, edge, cmd.InOrStdin(), p)
	case len(codes) == 1:
		err = scanOne(ctx, edge, codes[0], p)
	default:
		err = scanBatch(ctx, edge, codes, p)
	}
	if err == nil && p.errors > 0 {
		return &exitError{code: exitFailure}
	}
	return err
}

// scanOne prints what is wrong with the code as its answer, and returns what is wrong with the asking.
func scanOne(ctx context.Context, edge *scanedge.Edge, code string, p *answerPrinter) error {
	verdict, err := edge.Scan(ctx, code)
	a := scanedge.Answer{Verdict: verdict}
	if problem := (*scanedge.Problem)(nil); errors.As(err, &problem) {
		switch problem.Type {
		case scanedge.MalformedCode, scanedge.UnknownSubject, scanedge.IssuerNotHeld, scanedge.NotReady:
			a.Error, err = problem.Type, nil
		}
	}
	if err != nil {
		return err
	}
	return p.print([]string{code}, []scanedge.Answer{a})
}

func scanBatch(ctx context.Context, edge *scanedge.Edge, codes []string, p *answerPrinter) error {
	answers, err := edge.ScanMany(ctx, codes)
	if err != nil {
		return err
	}
	return p.print(codes, answers)
}

// scanLines asks for the codes that have arrived while it asked for those before: one by one from a hand, in full requests
// from a file.
func scanLines(ctx context.Context, edge *scanedge.Edge, in io.Reader, p *answerPrinter) error {
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
		if err := scanBatch(ctx, edge, codes, p); err != nil {
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
