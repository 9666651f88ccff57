package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

// replaceAll makes a file the whole of an issuer's table, once its preview was agreed to.
func (f *pushFlags) replaceAll(cmd *cobra.Command, issuer, file string) error {
	origin := scanedge.NewOrigin(f.origin, f.token)
	var preview scanedge.Preview
	err := f.whole(file, func(contentType string, body io.Reader) (err error) {
		preview, err = origin.PreviewReplace(cmd.Context(), issuer, contentType, body)
		return err
	})
	if problemOf(err, scanedge.NoDeltas) != nil {
		return fmt.Errorf("%s holds no rows: every subject of %s would be removed. Nothing was changed; if that is meant, push their removal",
			file, issuer)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, "Nothing was changed.")
	}
	if f.dryRun && f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(preview)
	}
	if err := f.show(cmd, issuer, file, preview); err != nil || f.dryRun {
		return err
	}
	if err := f.agreed.toPreview(cmd, fmt.Sprintf("Make %s the whole of %s?", file, issuer)); err != nil {
		return err
	}
	var applied scanedge.Applied
	err = f.whole(file, func(contentType string, body io.Reader) (err error) {
		applied, err = origin.Replace(cmd.Context(), issuer, contentType, body, preview, scanedge.WithNote(f.note))
		return err
	})
	if err != nil {
		return f.misused(err)
	}
	return printApplied(cmd, f.asJSON, "replaced all of "+issuer, applied)
}

// show prints the preview; beside JSON it goes where it does not disturb.
func (f *pushFlags) show(cmd *cobra.Command, issuer, file string, p scanedge.Preview) error {
	w := cmd.OutOrStdout()
	if f.asJSON {
		w = cmd.ErrOrStderr()
	}
	if err := printPreview(w, issuer, p); err != nil {
		return err
	}
	if twice := p.Rows - p.After; twice > 0 {
		_, _ = fmt.Fprintf(w, "%s has %s that say nothing: the subject comes again, and the last row counts, or it is removed.\n", file,
			many(twice, "row"))
	}
	if p.Figures.Removed*2 > p.Figures.Before {
		_, _ = fmt.Fprintf(w, "LOOK: %s has %s only, and MOST OF %s WOULD BE REMOVED.\n", file, many(p.Rows, "row"), issuer)
	}
	return nil
}

// whole calls send with the file's text.
func (f *pushFlags) whole(file string, send func(contentType string, body io.Reader) error) error {
	in, err := openInput(file, nil)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	text, err := plain(in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	contentType := scanedge.NDJSON
	if f.format == csvFormat || f.format == unknownFormat && !looksLikeJSON(text.Reader) {
		contentType = scanedge.CSV
	}
	return send(contentType, text)
}

// printApplied says what was done.
func printApplied(cmd *cobra.Command, asJSON bool, what string, a scanedge.Applied) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(a)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s in %s, offset %d: %s\n", what, manyBatches(a.Batches), a.Offset, a.Figures)
	return err
}

func manyBatches(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return grouped(n) + " batches"
}
