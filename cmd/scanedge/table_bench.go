package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/bench/micro/table"
)

// tableBench are the flags of table bench.
type tableBench struct {
	subjects []int64
	from     []string
	dir      string
	json     bool
	markdown bool
	plot     string
}

func newTableBenchCmd() *cobra.Command {
	var b tableBench
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the status table beside its floor and its rivals",
		Long: `bench measures a status table of so many subjects: the memory that a subject takes after a snapshot load and while the
table grows; lookups in a chain, in a stream, in batches and of what is not there, beside reads of single cache lines of the
same memory, which is the floor; lookups beside a writer, with their tails; puts, the snapshot, the scrub; and the same stream
of lookups in fastcache, Go's map and xsync.Map, where these fit into memory.

Each part runs in a process of its own. All figures are of this machine; whoever else works on it is in them.
It takes under a minute for 20 million subjects, half an hour for 900 million.

Exit status: 0 measured, also where a goal is missed; 1 it could not be measured, or an entry got lost; 2 usage.`,
		Example: `  scanedge table bench
  scanedge table bench --subjects 1000000,10000000,100000000 --json > table.json
  scanedge table bench --from table.json,900.json --plot table.svg --markdown`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Int64SliceVar(&b.subjects, "subjects", []int64{20_000_000}, "how many subjects; several sizes are measured one after the other")
	flags.StringSliceVar(&b.from, "from", nil, "measure nothing, show what earlier runs wrote with --json to these files")
	flags.StringVar(&b.dir, "dir", "", "folder with room for a snapshot, 16 bytes a subject (default the system's for temporary files)")
	flags.BoolVar(&b.json, "json", false, "print the result as a JSON object, or several as an array")
	flags.BoolVar(&b.markdown, "markdown", false, "print the results as one Markdown table")
	flags.StringVar(&b.plot, "plot", "", "draw the results to this file, as SVG")
	return cmd
}

func (b *tableBench) run(cmd *cobra.Command) error {
	if err := b.check(cmd); err != nil {
		return err
	}
	var results []*table.Result
	var err error
	if len(b.from) > 0 {
		results, err = resultsFrom(b.from)
	} else {
		results, err = b.measure(cmd)
	}
	if len(results) == 0 {
		return err
	}
	return errors.Join(err, b.tell(cmd.OutOrStdout(), results)) // what was measured is told, even if the next size failed
}

func (b *tableBench) check(cmd *cobra.Command) error {
	if b.json && b.markdown {
		return usageError("--json and --markdown are two forms of one output; give one")
	}
	if len(b.from) > 0 && cmd.Flags().Changed("subjects") {
		return usageError("--from shows what was measured, --subjects measures; give one")
	}
	for _, n := range b.subjects {
		if n < table.MinSubjects || n > table.MaxSubjects {
			return usageError("--subjects is %d; it must be %d to %d", n, table.MinSubjects, table.MaxSubjects)
		}
	}
	if b.plot == "" {
		return nil
	}
	probe, err := os.CreateTemp(filepath.Dir(b.plot), filepath.Base(b.plot)+".*") // better now than when all is measured
	if err != nil {
		return usageError("--plot: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// measure measures each size, and returns what it has when one fails.
func (b *tableBench) measure(cmd *cobra.Command) (results []*table.Result, err error) {
	for _, n := range b.subjects {
		r, err := b.measureOne(cmd.Context(), cmd.ErrOrStderr(), n)
		if err != nil {
			return results, fmt.Errorf("measuring a table of %s: %w", many(int(n), "subject"), err)
		}
		results = append(results, r)
	}
	return results, nil
}

func (b *tableBench) measureOne(ctx context.Context, stderr io.Writer, n int64) (*table.Result, error) {
	bar := newBenchProgress(stderr, many(int(n), "subject"))
	defer bar.stop()
	return table.Run(ctx, table.Config{Subjects: uint64(n), Dir: b.dir, Child: tablePart, Progress: bar.show})
}

func resultsFrom(files []string) (results []*table.Result, err error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError("--from: %w", err)
		}
		some, err := table.Parse(text)
		if err != nil {
			return nil, usageError("--from: %s is not what table bench --json wrote: %w", file, err)
		}
		results = append(results, some...)
	}
	return results, nil
}

func (b *tableBench) tell(out io.Writer, results []*table.Result) error {
	if b.plot != "" {
		if err := drawTo(b.plot, results); err != nil {
			return err
		}
	}
	switch {
	case b.json && len(results) == 1 && len(b.subjects) == 1:
		return printJSON(out, results[0])
	case b.json:
		return printJSON(out, results)
	case b.markdown:
		return table.Markdown(out, results)
	}
	for i, r := range results {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := r.Text(out); err != nil {
			return err
		}
	}
	return nil
}

func drawTo(file string, results []*table.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(table.Plot(f, results), f.Close())
}

func printJSON(out io.Writer, v any) error {
	lines := json.NewEncoder(out)
	lines.SetIndent("", "  ")
	return lines.Encode(v)
}
