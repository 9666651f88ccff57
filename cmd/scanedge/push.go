package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

// pushFlags is a push's command line.
type pushFlags struct {
	origin, token, up string
	ca                caFlag
	format            format
	state, note       string
	ifMatch           uint64
	matches           bool // ifMatch is given
	retry             time.Duration
	restart, asJSON   bool

	dryRun, replace bool
	agreed          consent
}

func newPushCmd() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push ISSUER FILE|-",
		Short: "Push a file of statuses to an issuer's log",
		Long: `push sends the deltas in FILE, or in standard input for -, to the origin, which appends them to the issuer's log. Each
line is a subject's new record, as NDJSON

  {"subject":"d000000001","status":"red","until":"2027-01-31T12:00:00Z","reason":5}
  {"subject":"d000000002","remove":true}

or as CSV with a header, its columns in any order, the last three optional

  subject,status,until,reason,remove

Gzip and zstd are recognised. A file of any size goes out in pieces of whole lines, one after another, each of them all or
nothing: up to 200,000 lines or 8 MiB. If a piece is refused, push says what was pushed before it. Pushing the mended file
from its start is safe: a delta sets the whole record.

Each piece is applied once, whatever breaks. While the origin is away push waits for it and sends the piece again, under a key
by which the origin knows it. And if push itself is cut, the same command goes on with the line where it was, so long as the
file has not changed, within 24 hours; the counts that it prints are then of the whole run. What was reached stands in a file
in $XDG_STATE_HOME/scanedge/push or ~/.local/state/scanedge/push, until the push is through. Standard input can't be read
again: a push of it that is cut begins anew.

With --dry-run nothing is applied: push says how many subjects the file would add, change, by their new status, remove and leave
alone. A file of several pieces is counted piece by piece.

A push that changes more of what is there than the issuer's max_change lets is held, and nothing of that piece is applied: the
pieces of one file count together, and so does all that one token pushes within a minute or two. push then ends with the id by
which somebody with another token approves it (scanedge approve ID); after that the same command goes on.

With --replace the file is the whole truth: subjects that it does not name are removed. It may have any number of lines; of a
subject that is there twice the last counts. push shows the difference first and asks; --yes agrees where nobody can be asked.
What was agreed to is not held, and a push of somebody else's in between ends it.

With --if-match the first piece is taken only if the issuer's last batch is at that offset, and each other one only if it
follows the piece before it. So nobody else's push comes in between: theirs ends this one, between two pieces.`,
		Example: `  scanedge push demo-a deltas.csv
  scanedge push --note "recall of lot 7" --if-match 1742 demo-a deltas.csv.zst
  scanedge push --dry-run demo-a deltas.csv
  scanedge push --replace demo-a everybody.csv.gz
  xzcat big.ndjson.xz | scanedge push demo-a -
  scanedge push --origin http://127.0.0.1:7000 --token TOKEN demo-a deltas.ndjson.gz`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usageError("ISSUER is empty; name an issuer of the origin")
			}
			f.matches = cmd.Flags().Changed("if-match")
			if err := f.check(args[1]); err != nil {
				return err
			}
			if f.replace {
				return f.replaceAll(cmd, args[0], args[1])
			}
			return f.push(cmd, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&f.origin, "origin", "", "URL of the origin's API")
	cmd.Flags().StringVar(&f.token, "token", "", "push token")
	cmd.Flags().StringVar(&f.up, "up", "", upUsage+" origin and push token")
	f.ca.add(cmd)
	cmd.Flags().StringVar((*string)(&f.format), "format", "",
		"ndjson or csv (default: by the file's name, else by its first character)")
	cmd.Flags().StringVar(&f.note, "note", "", "text to keep beside the push in the log, up to 512 bytes")
	cmd.Flags().Uint64Var(&f.ifMatch, "if-match", 0,
		"push only if the issuer's last batch is at this offset (0: it has none), and nobody else pushes meanwhile")
	cmd.Flags().DurationVar(&f.retry, "retry", time.Minute,
		"how long to wait for an origin that is away, for each piece; 0 is not at all")
	cmd.Flags().BoolVar(&f.restart, "restart", false, "begin with the file's first line, also if a push of it was cut")
	cmd.Flags().StringVar(&f.state, "state", "", "folder that remembers pushes that were cut (default: in the user's state folder)")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what the push would do, and apply nothing")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "make FILE the whole of the issuer's table: what it does not name is removed")
	f.agreed.add(cmd, "agree to what --replace shows")
	return cmd
}

// check completes the flags for a push of file.
func (f *pushFlags) check(file string) (err error) {
	if f.retry < 0 || f.retry > keysLive {
		return usageError("--retry is %s; it must be from 0 to %s, for which an origin knows a push", f.retry, keysLive)
	}
	if f.replace && (f.matches || file == "-") {
		return usageError("--replace reads FILE twice, for the preview and then to apply it, and goes by its preview's offset: " +
			"give it a file, and no --if-match")
	}
	if f.format, err = formatOf(f.format, file); err != nil {
		return err
	}
	fleet, err := runningFleet(f.up, f.origin)
	if err != nil {
		return err
	}
	f.origin, f.ca = cmp.Or(f.origin, fleet.Origin), caFlag(cmp.Or(string(f.ca), fleet.CA))
	f.token = secret(f.token, fleet.PushToken, f.origin, fleet.Origin, fleet.OriginTLS)
	if f.origin == "" || f.token == "" {
		return usageError("which origin, with which token? Give --origin URL and --token TOKEN, " +
			"or --up FILE of a fleet that runs, whose token is for that fleet's own origin alone")
	}
	return checkURL("--origin", f.origin)
}

// format is what a file's lines are.
type format string

const (
	unknownFormat format = ""
	ndjsonFormat  format = "ndjson"
	csvFormat     format = "csv"
)

// formatOf is the format that the flag gives, else the one that the file's name tells.
func formatOf(flag format, file string) (format, error) {
	switch flag {
	case ndjsonFormat, csvFormat:
		return flag, nil
	case unknownFormat:
	default:
		return "", usageError("--format is %q; it must be ndjson or csv", string(flag))
	}
	name := strings.ToLower(file)
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	switch filepath.Ext(name) {
	case ".csv":
		return csvFormat, nil
	case ".ndjson", ".jsonl", ".json":
		return ndjsonFormat, nil
	}
	return unknownFormat, nil
}

// push pushes the file and says so.
func (f *pushFlags) push(cmd *cobra.Command, issuer, file string) error {
	in, err := openInput(file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	origin := scanedge.NewOrigin(f.origin, f.token)
	if err := f.ca.trust("", origin.TrustCA); err != nil {
		return err
	}
	p := &pusher{
		origin: origin, in: in, note: f.note, retry: f.retry, stderr: cmd.ErrOrStderr(),
		started: time.Now(),
	}
	if f.dryRun {
		return f.dry(cmd, p, issuer)
	}
	if err := f.begin(p, issuer); err != nil {
		return err
	}
	if stderr := terminalOf(cmd.ErrOrStderr()); stderr != nil {
		p.bar = newProgress(stderr, in.size, p.Count)
	}
	err = p.all(cmd.Context())
	p.bar.stop()
	p.end(err)
	if err != nil {
		return f.misused(err)
	}
	return p.report(cmd.OutOrStdout(), f.asJSON)
}

// begin finds out where in its input the pusher begins. Without a folder of its own choice a user may have none to write in,
// and can push all the same.
func (f *pushFlags) begin(p *pusher, issuer string) error {
	job := pushJob{Origin: strings.TrimRight(f.origin, "/"), Issuer: issuer, Format: f.format, Piece: pieceLimits}
	if p.in.file != nil {
		var err error
		if job.content, err = contentOf(p.in.file); err == nil {
			job.File, err = filepath.Abs(p.in.name)
		}
		if err != nil {
			return fmt.Errorf("nothing was pushed: looking at %s: %w", p.in.name, err)
		}
		p.state, err = openState(f.state, job)
		if err != nil && f.state != "" {
			return fmt.Errorf("nothing was pushed: making the folder of --state: %w", err)
		}
		if err != nil {
			_, _ = fmt.Fprintf(p.stderr, "if this push is cut it can't be gone on with: %v; give a folder with --state DIR\n", err)
		}
	}
	p.begin(job, f.restart)
	if f.matches {
		p.match(&f.ifMatch)
	} else {
		p.match(nil)
	}
	return nil
}

// misused marks an error that the flags are to blame for.
func (f *pushFlags) misused(err error) error {
	if p := problemOf(err, scanedge.BadNote); p != nil {
		return usageError("--note: %s", p.Detail)
	}
	return err
}
