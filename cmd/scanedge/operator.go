package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

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
			"or --up FILE of a fleet that runs")
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

// errNotAnswered is what a verb that must be agreed to says where nobody can be asked.
var errNotAnswered = errors.New("nothing was changed: say --yes to agree, for there is no terminal to ask on")

// agree asks on the terminal whether to go on, unless yes was said before. Without a terminal nothing is agreed to.
func agree(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return errNotAnswered
	}
	answered := make(chan string, 1)
	cmd.PrintErrf("%s [y/N] ", question)
	go func() { // apart, for a read from a terminal can't be interrupted
		line, _ := bufio.NewReader(in).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answered:
		if a == "y" || a == "yes" {
			return nil
		}
		return fmt.Errorf("nothing was changed: the answer was %q, not yes", a)
	case <-cmd.Context().Done():
		return context.Cause(cmd.Context())
	}
}
