package main

import (
	"context"
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
			s, err := askSecret(cmd.Context(), operator, args[0], args[1], "")
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

// askSecret asks for a subject's secret by the newest code key, or with a query such as "?key_id=3" by another that is still known.
func askSecret(ctx context.Context, operator *scanedge.Operator, issuer, subject, query string) (s scanedge.SubjectSecret, err error) {
	err = operator.Call(ctx, fmt.Sprintf("ask for the secret of %s of %s", subject, issuer), http.MethodGet,
		issuerURL(issuer, "subjects", subject, "secret")+query, nil, &s)
	return s, err
}
