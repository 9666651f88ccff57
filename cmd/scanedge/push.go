package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/scanedge/scanedge"
)

func newPushCmd() *cobra.Command {
	var url, token, up, format string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "push ISSUER FILE|-",
		Short: "Push a file of statuses to an issuer's log",
		Long: `push sends the deltas in FILE, or in standard input for -, to the origin, which appends them to the issuer's log. Each
line is a subject's new record, as NDJSON

  {"subject":"d000000001","status":"red","until":"2027-01-31T12:00:00Z","reason":5}
  {"subject":"d000000002","remove":true}

or as CSV with a header, its columns in any order, the last three optional

  subject,status,until,reason,remove

Gzip is recognised. A file of any size goes out in pieces of whole lines, one after another, each of them all or nothing:
up to 200,000 lines or 8 MiB. If a piece is refused, push says what was pushed before it. Pushing the mended file from its
start is safe: a delta sets the whole record.`,
		Example: `  scanedge push demo-a deltas.csv
  zstdcat big.ndjson.zst | scanedge push demo-a -
  scanedge push --origin http://127.0.0.1:7000 --token TOKEN demo-a deltas.ndjson.gz`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usageError("ISSUER is empty; name an issuer of the origin")
			}
			known, err := formatOf(format, args[1])
			if err != nil {
				return err
			}
			origin, err := originToAsk(url, token, up)
			if err != nil {
				return err
			}
			return push(cmd, origin, args[0], args[1], known, asJSON)
		},
	}
	cmd.Flags().StringVar(&url, "origin", "", "URL of the origin's API")
	cmd.Flags().StringVar(&token, "token", "", "push token")
	cmd.Flags().StringVar(&up, "up", "", upUsage+" origin and push token")
	cmd.Flags().StringVar(&format, "format", "", "ndjson or csv (default: by the file's name, else by its first character)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func originToAsk(url, token, up string) (*scanedge.Origin, error) {
	f, err := runningFleet(up, url)
	if err != nil {
		return nil, err
	}
	url, token = cmp.Or(url, f.Origin), cmp.Or(token, f.PushToken)
	if url == "" || token == "" {
		return nil, usageError("which origin, with which token? Give --origin URL and --token TOKEN, " +
			"or --up FILE of a fleet that runs")
	}
	if err := checkURL("--origin", url); err != nil {
		return nil, err
	}
	return scanedge.NewOrigin(url, token), nil
}

// format is what a file's lines are.
type format string

const (
	unknownFormat format = ""
	ndjsonFormat  format = "ndjson"
	csvFormat     format = "csv"
)

// formatOf is the format that the flag gives, else the one that the file's name tells.
func formatOf(flag, file string) (format, error) {
	switch f := format(flag); f {
	case ndjsonFormat, csvFormat:
		return f, nil
	case unknownFormat:
	default:
		return "", usageError("--format is %q; it must be ndjson or csv", flag)
	}
	switch filepath.Ext(strings.TrimSuffix(strings.ToLower(file), ".gz")) {
	case ".csv":
		return csvFormat, nil
	case ".ndjson", ".jsonl", ".json":
		return ndjsonFormat, nil
	}
	return unknownFormat, nil
}

// push pushes the file and says so.
func push(cmd *cobra.Command, origin *scanedge.Origin, issuer, file string, f format, asJSON bool) error {
	in, size, err := openInput(file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	name := file
	if file == "-" {
		name = "standard input"
	}
	p := &pusher{origin: origin, issuer: issuer, name: name, started: time.Now(), next: 1}
	if stderr, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(stderr.Fd())) {
		p.bar = newProgress(stderr, size)
	}
	err = p.run(cmd.Context(), in, f)
	p.bar.stop()
	if err != nil {
		return err
	}
	return p.report(cmd.OutOrStdout(), asJSON)
}

// openInput opens the file; its size is -1 where the end is not known, as in a pipe.
func openInput(file string, stdin io.Reader) (io.ReadCloser, int64, error) {
	if file == "-" {
		return io.NopCloser(stdin), -1, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, fmt.Errorf("nothing was pushed: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f, info.Size(), nil
	}
	return f, -1, nil
}

func (p *pusher) report(w io.Writer, asJSON bool) error {
	took := time.Since(p.started)
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Issuer  string  `json:"issuer"`
			Count   int     `json:"count"`
			Pushes  int     `json:"pushes"`
			Offset  uint64  `json:"offset"`
			Seconds float64 `json:"seconds"`
		}{p.issuer, p.count, p.pushes, p.offset, took.Round(time.Millisecond).Seconds()})
	}
	if p.pushes == 0 {
		_, err := fmt.Fprintf(w, "nothing to push: %s holds no deltas\n", p.name)
		return err
	}
	_, err := fmt.Fprintf(w, "pushed %s to %s in %s, offset %d, %.1f s (%s deltas/s)\n", many(p.count, "delta"), p.issuer,
		many(p.pushes, "push"), p.offset, took.Seconds(), grouped(int(float64(p.count)/took.Seconds())))
	return err
}

// many reads like "1 push" and "200,000 pushes".
func many(n int, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "sh"):
		thing += "es"
	default:
		thing += "s"
	}
	return grouped(n) + " " + thing
}

// grouped writes n with a comma between thousands.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
