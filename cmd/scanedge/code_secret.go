package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

func newCodeSecretCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "secret ISSUER SUBJECT",
		Short: "Ask the origin for what a phone makes a subject's rolling codes with",
		Long: `secret asks the origin for a subject's secret, which the issuer's app or page keeps on the holder's phone and makes rolling codes with,
offline, a new one every 30 s. It is derived from the issuer's newest code key and is the same each time, until that key is replaced;
the subject need not have been pushed yet. Who has it can make the subject's codes: give it to the holder's phone alone, over TLS.

server_time is the origin's clock. A phone that compares it with its own knows how far it is off.`,
		Example: `  scanedge code secret demo-a d000000001 --up var/up.json
  scanedge code secret demo-a d000000001 --json > secret.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			operator, err := f.open()
			if err != nil {
				return err
			}
			var s scanedge.SubjectSecret
			err = operator.Call(cmd.Context(), fmt.Sprintf("ask for the secret of %s of %s", args[1], args[0]), http.MethodGet,
				issuerURL(args[0], "subjects", args[1], "secret"), nil, &s)
			if err != nil {
				return err
			}
			return f.print(cmd, s, func() error {
				return columns(cmd.OutOrStdout(), [][]string{
					{"issuer", s.Issuer},
					{"subject", s.Subject},
					{"key id", strconv.Itoa(s.KeyID)},
					{"secret", s.Secret},
					{"step", fmt.Sprintf("%d, of %d s", s.Step, s.StepSeconds)},
					{"server time", s.ServerTime},
				})
			})
		},
	}
	f.add(cmd)
	return cmd
}
