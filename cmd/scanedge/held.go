package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
)

func newHeldCmd() *cobra.Command {
	var f operatorFlags
	var drop string
	var agreed consent
	cmd := &cobra.Command{
		Use:   "held [ISSUER]",
		Short: "List pushes that wait for an approval, or drop one",
		Long: `held lists the pushes that change more than their issuer's max_change lets and so wait for somebody's approval, with what they
would do to the table as it is now. They wait for 24 hours. With --drop one is given up: nothing of it was applied, and
its pusher can push it again. ` + ordersAsk,
		Example: `  scanedge held
  scanedge held demo-a
  scanedge held --drop demo-a-k7q2m5x3w4zd`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			operator, err := f.open()
			if err != nil {
				return err
			}
			if drop != "" {
				return dropHeld(cmd, operator, &f, drop, agreed)
			}
			return listHeld(cmd, operator, &f, args)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&drop, "drop", "", "id of a held push that is to be given up")
	agreed.add(cmd, "with --drop: "+doNotAsk)
	return cmd
}

func newApproveCmd() *cobra.Command {
	var f operatorFlags
	var agreed consent
	cmd := &cobra.Command{
		Use:   "approve ID",
		Short: "Apply a push that was held, by another token than its pusher's",
		Long: `approve shows what a held push would do to the table as it is now, asks, and applies it as its pusher's, with the approver's name
beside it in the log. It takes the admin token or a push token, but not the one that pushed. What the pusher's token and the
pieces of the same file changed until then counts no more.`,
		Example: `  scanedge approve demo-a-k7q2m5x3w4zd`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			operator, err := f.open()
			if err != nil {
				return err
			}
			return approve(cmd, operator, &f, args[0], agreed)
		},
	}
	f.add(cmd)
	agreed.add(cmd, "agree to what is shown")
	return cmd
}

// issuerURL is the path of something of an issuer's.
func issuerURL(issuer string, rest ...string) string {
	path := "/v1/issuers/" + strings.ReplaceAll(url.PathEscape(issuer), ".", "%2E")
	for _, r := range rest {
		path += "/" + strings.ReplaceAll(url.PathEscape(r), ".", "%2E") // or ".." would be cleaned away
	}
	return path
}

// issuerOf is the issuer that the id of a held push begins with.
func issuerOf(id string) (string, error) {
	at := strings.LastIndexByte(id, '-')
	if at < 1 {
		return "", usageError("%q is no id of a held push; scanedge held lists them", id)
	}
	return id[:at], nil
}

// heldOf is what is held of issuers, of all if none is named.
func heldOf(ctx context.Context, operator *scanedge.Operator, issuers []string) ([]scanedge.Held, error) {
	if len(issuers) == 0 {
		all, err := listIssuers(ctx, operator)
		if err != nil {
			return nil, err
		}
		for _, i := range all.Issuers {
			issuers = append(issuers, i.Issuer)
		}
	}
	held := []scanedge.Held{}
	for _, issuer := range issuers {
		var one struct{ Held []scanedge.Held }
		if err := operator.Call(ctx, "list what is held of "+issuer, http.MethodGet, issuerURL(issuer, "held"), nil, &one); err != nil {
			return nil, err
		}
		held = append(held, one.Held...)
	}
	return held, nil
}

func listHeld(cmd *cobra.Command, operator *scanedge.Operator, f *operatorFlags, issuers []string) error {
	held, err := heldOf(cmd.Context(), operator, issuers)
	if err != nil {
		return err
	}
	answer := struct {
		Held []scanedge.Held `json:"held"`
	}{held}
	return f.print(cmd, answer, func() error {
		if len(answer.Held) == 0 {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), "no push waits for an approval")
		}
		for _, h := range answer.Held {
			_, _ = fmt.Fprint(cmd.OutOrStdout(), heldText(h))
		}
		return nil
	})
}

func heldText(h scanedge.Held) string {
	text := fmt.Sprintf("%s  %s by %q at %s, until %s", h.ID, many(h.Deltas, "delta"), h.Pusher, h.Time, h.Ends)
	if h.Note != "" {
		text += fmt.Sprintf(", note %q", h.Note)
	}
	return text + fmt.Sprintf("\n  held because %s\n  now: %s\n", h.Why, h.Figures)
}

func dropHeld(cmd *cobra.Command, operator *scanedge.Operator, f *operatorFlags, id string, agreed consent) error {
	issuer, err := issuerOf(id)
	if err != nil {
		return err
	}
	ask := func() (string, error) {
		var h scanedge.Held
		err := operator.Call(cmd.Context(), "look at the held push "+id, http.MethodGet, issuerURL(issuer, "held", id), nil, &h)
		return heldText(h) + "Drop it?", err
	}
	if err := agreed.toOrder(cmd, ask); err != nil {
		return err
	}
	if err := operator.Call(cmd.Context(), "drop the held push "+id, http.MethodDelete, issuerURL(issuer, "held", id), nil, nil); err != nil {
		return err
	}
	return f.print(cmd, map[string]string{"dropped": id}, func() error {
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "dropped %s\n", id)
		return nil
	})
}

func approve(cmd *cobra.Command, operator *scanedge.Operator, f *operatorFlags, id string, agreed consent) error {
	issuer, err := issuerOf(id)
	if err != nil {
		return err
	}
	var h scanedge.Held
	if err := operator.Call(cmd.Context(), "look at the held push "+id, http.MethodGet, issuerURL(issuer, "held", id), nil, &h); err != nil {
		return err
	}
	cmd.PrintErr(heldText(h))
	if err := agreed.toPreview(cmd, fmt.Sprintf("Apply it to %s?", issuer)); err != nil {
		return err
	}
	var a scanedge.Applied
	err = operator.Call(cmd.Context(), "approve the held push "+id, http.MethodPost, issuerURL(issuer, "held", id, "approve"), nil, &a)
	if err != nil {
		return err
	}
	return printApplied(cmd, f.asJSON, "approved "+id, a)
}

// problemOf is the problem of a type in an error, nil if it is none.
func problemOf(err error, word scanedge.ProblemType) *scanedge.Problem {
	if p := (*scanedge.Problem)(nil); errors.As(err, &p) && p.Type == word {
		return p
	}
	return nil
}
