package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

func newSubjectCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "subject ISSUER SUBJECT",
		Short: "Show a subject's record, and who pushed it",
		Long: `subject asks the origin for a subject's record as it reads now and, while the log holds it, for the push that set it: offset, time,
the token's name and the note. The origin reads its whole log for that, some hundred megabytes a second.`,
		Example: `  scanedge subject demo-a d000000001`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			operator, err := f.open()
			if err != nil {
				return err
			}
			var s scanedge.SubjectState
			err = operator.Call(cmd.Context(), fmt.Sprintf("look up %s of %s", args[1], args[0]), http.MethodGet,
				issuerURL(args[0], "subjects", args[1]), nil, &s)
			if err != nil {
				return err
			}
			return f.print(cmd, s, func() error {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), subjectText(s))
				return nil
			})
		},
	}
	f.add(cmd)
	return cmd
}

func subjectText(s scanedge.SubjectState) string {
	text := fmt.Sprintf("%s:%s  %s", s.Issuer, s.Subject, s.Status)
	if s.Reason != 0 {
		text += fmt.Sprintf("  reason %d", s.Reason)
	}
	if s.Until != "" {
		text += "  until " + s.Until
	}
	if s.Pushed == nil {
		return text + fmt.Sprintf("\npushed before what the log still holds, at offset %d", s.Offset)
	}
	text += fmt.Sprintf("\npushed at offset %d, %s, by %q", s.Pushed.Offset, s.Pushed.Time, s.Pushed.Pusher)
	for _, more := range []struct{ name, value string }{{"note", s.Pushed.Note}, {"key", s.Pushed.Key}, {"approved by", s.Pushed.Approver}} {
		if more.value != "" {
			text += fmt.Sprintf(", %s %q", more.name, more.value)
		}
	}
	return text
}
