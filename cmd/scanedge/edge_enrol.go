package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/enrol"
)

func newEdgeEnrolCmd() *cobra.Command {
	var f operatorFlags
	var body struct {
		Issuers []string `json:"issuers"`
		Hosts   []string `json:"hosts,omitempty"`
		Replace bool     `json:"replace,omitempty"`
	}
	var agreed consent
	cmd := &cobra.Command{
		Use:   "enrol NAME --issuers ISSUER,…",
		Short: "Let a machine become an edge: print the token that it joins with",
		Long: `enrol makes an edge known to the origin and prints a token, which works once and for 15 minutes, and the line to run with it on the
new machine. That machine makes its own key, checks that the server it finds is this origin, and gets a certificate, which
renews itself. Who has the token can become that edge: hand it over as you would a password.

The edge may read the issuers that are named, '*' for all, also those made later. Its certificate names, for scanners that ask it
over TLS, the hosts of --host, the address that it calls from, and its own loopback.

A name is free if no edge has it, or if that one was revoked. --replace revokes the one that has it, as for a machine that was lost:
that one is cut off at once. ` + ordersAsk,
		Example: `  scanedge edge enrol gate-3 --issuers gz,sz --host gate3.example
  scanedge edge enrol depot --issuers '*'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := enrol.CheckName(args[0]); err != nil {
				return usageError("%w", err)
			}
			if len(body.Issuers) == 0 {
				return usageError("which issuers may it read? Give --issuers gz,sz, or --issuers '*' for all")
			}
			origin, err := f.open()
			if err != nil {
				return err
			}
			if body.Replace {
				if err := agreed.toOrder(cmd, func() (string, error) { return whoIsRevoked(cmd.Context(), origin, args[0], "replace") }); err != nil {
					return err
				}
			}
			var e scanedge.Enrolment
			if err := origin.Call(cmd.Context(), "enrol the edge "+args[0], http.MethodPut, edgePath(args[0]), body, &e); err != nil {
				return err
			}
			return f.print(cmd, e, func() error { return showEnrolment(cmd.OutOrStdout(), e) })
		},
	}
	f.add(cmd)
	cmd.Flags().StringSliceVar(&body.Issuers, "issuers", nil, "the issuers that it may read; '*' for all, also those made later (needed)")
	cmd.Flags().StringSliceVar(&body.Hosts, "host", nil, "a DNS name or IP address at which scanners find it; may be repeated")
	cmd.Flags().BoolVar(&body.Replace, "replace", false, "revoke the edge, or the token, that has the name")
	agreed.add(cmd, "with --replace: "+doNotAsk)
	return cmd
}

func edgePath(name string) string { return "/v1/edges/" + url.PathEscape(name) }

func showEnrolment(out io.Writer, e scanedge.Enrolment) error {
	_, err := fmt.Fprintf(out, "%s can join once, until %s. On its machine:\n\n  scanedge edge --join %s\n",
		e.Name, e.Until.Local().Format(time.DateTime), e.Token)
	return err
}

func newEdgeListCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the edges that were enrolled",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			origin, err := f.open()
			if err != nil {
				return err
			}
			list, err := listEdges(cmd.Context(), origin)
			if err != nil {
				return err
			}
			return f.print(cmd, list, func() error { return showEdges(cmd.OutOrStdout(), list.Edges, time.Now()) })
		},
	}
	f.add(cmd)
	return cmd
}

type edgeList struct {
	Edges []enrol.Edge `json:"edges"`
}

func listEdges(ctx context.Context, op *scanedge.Operator) (list edgeList, err error) {
	err = op.Call(ctx, "list the edges", http.MethodGet, "/v1/edges", nil, &list)
	return list, err
}

func showEdges(out io.Writer, edges []enrol.Edge, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "EDGE\tISSUERS\tSTATE\tSINCE\tCERTIFICATE ENDS")
	for _, e := range edges {
		state, since := "enrolled", e.Enrolled
		switch {
		case !e.Revoked.IsZero():
			state, since = "revoked", e.Revoked
		case !e.Joined.IsZero():
			state, since = "joined", e.Joined
		case now.After(e.Enrolled.Add(enrol.TokenLife)):
			state, since = "token expired", e.Enrolled.Add(enrol.TokenLife)
		}
		ends := "-"
		if !e.CertEnds.IsZero() {
			ends = e.CertEnds.Local().Format(time.DateTime)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Name, strings.Join(e.Issuers, ","), state, since.Local().Format(time.DateTime), ends)
	}
	return table.Flush()
}

func newEdgeRevokeCmd() *cobra.Command {
	var f operatorFlags
	var agreed consent
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Shut an edge out: its connections are cut, and it can't come back",
		Long: `revoke makes the origin refuse an edge from this moment on, and closes its connections. It holds what it holds: its answers age,
are marked stale after 3 s, and end at the issuer's max_stale. Other edges refuse it too, as soon as the origin tells them.

The name can be enrolled again, for another key: start the edge of that machine with the new token. ` + ordersAsk,
		Example: `  scanedge edge revoke gate-3`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := enrol.CheckName(args[0]); err != nil {
				return usageError("%w", err)
			}
			origin, err := f.open()
			if err != nil {
				return err
			}
			if err := agreed.toOrder(cmd, func() (string, error) { return whoIsRevoked(cmd.Context(), origin, args[0], "revoke") }); err != nil {
				return err
			}
			var e enrol.Edge
			if err := origin.Call(cmd.Context(), "revoke the edge "+args[0], http.MethodDelete, edgePath(args[0]), nil, &e); err != nil {
				return err
			}
			return f.print(cmd, e, func() error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked: its connections are cut, and it can't come back\n", e.Name)
				return err
			})
		},
	}
	f.add(cmd)
	agreed.add(cmd, doNotAsk)
	return cmd
}

// whoIsRevoked asks so that the wrong machine is seen. Of a name that no working edge has there is nothing to ask.
func whoIsRevoked(ctx context.Context, origin *scanedge.Operator, name, verb string) (string, error) {
	var e enrol.Edge
	err := origin.Call(ctx, "look at the edge "+name, http.MethodGet, edgePath(name), nil, &e)
	if problemOf(err, scanedge.UnknownEdge) != nil || !e.Revoked.IsZero() {
		return "", nil
	}
	machine := "that has not joined yet"
	if !e.Joined.IsZero() {
		machine = "that joined " + ago(e.Joined, time.Now())
	}
	return fmt.Sprintf("The edge %s, for %s, %s, can't come back. %s it?", name, strings.Join(e.Issuers, ", "), machine,
		strings.ToUpper(verb[:1])+verb[1:]), err
}
