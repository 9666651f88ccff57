package main

import (
	"cmp"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

// operatorFlags are what every verb of an operator takes: which origin, with which token, and how to answer.
type operatorFlags struct {
	origin, up, token string
	ca                caFlag
	asJSON            bool
}

func (f *operatorFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.origin, "origin", "", "URL of the origin's API")
	cmd.Flags().StringVar(&f.up, "up", "", upUsage+" origin and admin token")
	cmd.Flags().StringVar(&f.token, "token", "", "admin token (better as SCANEDGE_TOKEN)")
	f.ca.add(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
}

// open returns the client of the origin that the flags name.
func (f *operatorFlags) open() (*scanedge.Operator, error) {
	fleet, err := runningFleet(f.up, f.origin)
	if err != nil {
		return nil, err
	}
	origin := cmp.Or(f.origin, fleet.Origin)
	token := secret(f.token, fleet.AdminToken, origin, fleet.Origin, fleet.OriginTLS)
	if origin == "" || token == "" {
		return nil, usageError("which origin, with which admin token? Give --origin URL and the token as SCANEDGE_TOKEN, " +
			"or --up FILE of a fleet that runs, whose token is for that fleet's own origin alone")
	}
	if err := checkURL("--origin", origin); err != nil {
		return nil, err
	}
	operator := scanedge.NewOperator(origin, token)
	return operator, f.ca.trust(fleet.CA, operator.TrustCA)
}

// print writes the answer as one JSON object, or as the text of a person's choice.
func (f *operatorFlags) print(cmd *cobra.Command, answer any, text func() error) error {
	if !f.asJSON {
		return text()
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(answer)
}
