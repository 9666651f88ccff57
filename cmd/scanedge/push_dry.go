package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

// dry says what a push of p's input would do, piece by piece.
func (f *pushFlags) dry(cmd *cobra.Command, p *pusher, issuer string) error {
	p.pushRun = newRun(pushJob{Issuer: issuer, Format: f.format, Piece: pieceLimits})
	total, err := p.dryRun(cmd.Context())
	if err != nil {
		return f.misused(fmt.Errorf("%w\n%s", err, "Nothing was pushed."))
	}
	return printDryRun(cmd, f.asJSON, issuer, total)
}

// printDryRun prints a preview that nothing follows.
func printDryRun(cmd *cobra.Command, asJSON bool, issuer string, p scanedge.Preview) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
			Issuer string `json:"issuer"`
			scanedge.Preview
		}{issuer, p})
	}
	return printPreview(cmd.OutOrStdout(), issuer, p)
}

// dryRun sums what the pieces would do.
func (p *pusher) dryRun(ctx context.Context) (total scanedge.Preview, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cuts := make(chan cut)
	go readPieces(ctx, p.in, p.pushRun, cuts)
	first := true
	for c := range cuts {
		if c.err != nil {
			return total, fmt.Errorf("reading %s: %w", p.in.name, c.err)
		}
		contentType := scanedge.NDJSON
		if c.piece.header > 0 {
			contentType = scanedge.CSV
		}
		one, err := p.origin.DryRunReader(ctx, p.Issuer, contentType, bytes.NewReader(c.piece.body), scanedge.WithNote(p.note))
		if problemOf(err, scanedge.NoDeltas) != nil {
			continue
		}
		if bad := problemOf(err, scanedge.BadLines); bad != nil {
			return total, p.wrong(c.piece, bad)
		}
		if err != nil {
			return total, err
		}
		if first {
			total, first = one, false
			continue
		}
		total.Figures = total.Figures.Plus(one.Figures)
		total.After += one.Figures.Added - one.Figures.Removed
		total.Held = total.MaxChange.Exceeded(total.Figures.Bad(), total.Figures.All(), total.Figures.Before)
	}
	return total, ctx.Err()
}

// printPreview shows what a change would do.
func printPreview(w io.Writer, issuer string, p scanedge.Preview) error {
	f := p.Figures
	text := fmt.Sprintf("%s has %s at offset %d and would have %s:\n", issuer, many(f.Before, "subject"), p.Offset, grouped(p.After))
	line := func(n int, what string) { text += fmt.Sprintf("  %13s %s\n", grouped(n), what) }
	line(f.Added, "added")
	for _, s := range []scanedge.Status{scanedge.Green, scanedge.Yellow, scanedge.Red, scanedge.Void} {
		if n := f.Changed[s]; n > 0 {
			line(n, "changed to "+string(s))
		}
	}
	if f.Renewed > 0 {
		line(f.Renewed, "with another reason or until")
	}
	line(f.Removed, "removed")
	line(f.Unchanged, "unchanged")
	text += fmt.Sprintf("%.1f %% of what is there gets another status or goes.\n", 100*f.Share())
	if p.Held != "" {
		text += fmt.Sprintf("MORE THAN MAX_CHANGE: %s.\n", p.Held)
	}
	_, err := io.WriteString(w, text)
	return err
}
