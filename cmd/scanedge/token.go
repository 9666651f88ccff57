package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/origin"
)

func newTokenCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list, rotate and revoke tokens and scanner keys",
		Long: `A push token lets an authority push, a scan token (a scanner key) lets a gate scan, an admin token lets an operator give orders.
A token is shown once, when it is made or rotated; the origin keeps its hash alone. What is revoked is out at the origin at once,
and on every edge that hears from the origin within a second.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreateCmd(), newTokenListCmd(), newTokenRotateCmd(), newTokenRevokeCmd())
	return cmd
}

func newTokenCreateCmd() *cobra.Command {
	var f operatorFlags
	var order origin.TokenOrder
	var limits keyFlags
	var expires period
	cmd := &cobra.Command{
		Use:   "create push|scan|admin --name NAME",
		Short: "Make a token and show it, this once",
		Long: `create makes a token and prints it on standard output; nobody can print it again.

A name says who brings the token: what a push token pushes is recorded under it; that of a scanner key is its checkpoint's. No two
tokens of one kind that are in force have one name. A push token may be kept to some issuers, to so many deltas in one push and to
so many a second, of which as many as one push may have may come at once.

A scanner key may scan 1000/s at each edge, ten seconds of it at once, if nothing else is said; a batch counts each of its codes. Who
collects unknown or forged codes with it is slowed, then locked out for a while; --guard=false if others do so by right, such as
a gateway that reconciles lists. What is over a rate is answered with 429 too-fast, who is locked out with 429 locked-out.`,
		Example: `  scanedge token create push --name "Guangzhou, health commission" --issuer gz --rate 1000/s
  scanedge token create scan --name "East gate 3" --rate 5/s --expires 90d --json
  scanedge token create scan --name "City gateway" --no-limits`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			order.Kind = access.Kind(args[0])
			if err := limits.say(&order, cmd.Flags().Changed); err != nil {
				return err
			}
			if cmd.Flags().Changed("expires") {
				order.ExpiresIn = new(expires.seconds())
			}
			if _, err := order.Token(); err != nil {
				return usageError("%w; see %s --help", err, cmd.CommandPath())
			}
			return showMade(cmd, &f, "make a token", "/v1/tokens", order, func(id string) string {
				return fmt.Sprintf("%s token %s of %q", args[0], id, order.Name)
			})
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&order.Name, "name", "", "who brings it, of a scanner key the checkpoint's name: 1 to 64 characters (needed)")
	fl.StringSliceVar(&order.Issuers, "issuer", nil, "of a push token: an issuer that it may push to, also one that is yet to be made; may be given again (default all)")
	fl.IntVar(&order.MaxDeltas, "max-deltas", 0, "of a push token: deltas in one push (default as many as any push may have)")
	fl.Var(&expires, "expires", "after what time it ends by itself, such as 90d (default never)")
	limits.add(fl)
	return cmd
}

// keyFlags are how fast a token may push, or a scanner key scan.
type keyFlags struct {
	rate        rate
	burst       int
	guard, free bool
}

func (k *keyFlags) add(fl *pflag.FlagSet) {
	fl.Var(&k.rate, "rate", "of a push token: deltas a second, such as 1000/s (default as many as come); of a scanner key: scans a second (default 1000/s)")
	fl.IntVar(&k.burst, "burst", 0, "of a scanner key: scans at once after a pause (default ten seconds of its rate)")
	fl.BoolVar(&k.guard, "guard", true, "of a scanner key: slow and lock out who collects unknown or forged codes with it")
	fl.BoolVar(&k.free, "no-limits", false, "of a scanner key: no rate and no guard")
}

// say puts those that were given into an order.
func (k *keyFlags) say(order *origin.TokenOrder, given func(flag string) bool) error {
	if given("rate") {
		order.Rate = new(float64(k.rate))
	}
	if given("burst") {
		order.Burst = &k.burst
	}
	if given("guard") {
		order.Guard = &k.guard
	}
	if !k.free {
		return nil
	}
	if order.Rate != nil || order.Burst != nil || order.Guard != nil {
		return usageError("--no-limits leaves no room for --rate, --burst or --guard; leave it or them out")
	}
	order.Rate, order.Guard = new(float64), new(bool)
	return nil
}

// showMade sends an order that makes a token's secret, and shows that alone on standard output; say says whose it is.
func showMade(cmd *cobra.Command, f *operatorFlags, what, path string, order any, say func(id string) string) error {
	op, err := f.open()
	if err != nil {
		return err
	}
	var made origin.MadeToken
	if err := op.Call(cmd.Context(), what, http.MethodPost, path, order, &made); err != nil {
		return err
	}
	return f.print(cmd, made, func() error {
		cmd.PrintErrln(say(made.ID) + ", shown this once:")
		_, err := fmt.Fprintln(cmd.OutOrStdout(), made.Token)
		return err
	})
}

func newTokenRotateCmd() *cobra.Command {
	var f operatorFlags
	overlap := period(24 * time.Hour)
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a token another secret and show it, this once",
		Long: `rotate draws another secret for the same token, with the same name and limits, and prints it on standard output. The one before goes
on for --overlap, so that it can be replaced where it lies without a gap; any older one ends at once.`,
		Example: `  scanedge token rotate k3v7q2ma
  scanedge token rotate k3v7q2ma --overlap 0s`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/tokens/" + url.PathEscape(args[0]) + "/rotate"
			return showMade(cmd, &f, "rotate token "+args[0], path, map[string]any{"overlap_s": overlap.seconds()}, func(id string) string {
				return fmt.Sprintf("new secret of token %s; the one before goes on for %s", id, overlap.String())
			})
		},
	}
	f.add(cmd)
	cmd.Flags().Var(&overlap, "overlap", "how long the secret before goes on; 0s: it ends at once")
	return cmd
}

func newTokenListCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens, their limits and when they were last used",
		Long: `list shows the tokens that there are and those that ended of late. The last use of a scanner key is what
the edges report of it, a second later. After a crash a last use may be up to a minute too old.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			op, err := f.open()
			if err != nil {
				return err
			}
			tokens, err := listTokens(cmd.Context(), op)
			if err != nil {
				return err
			}
			return f.print(cmd, map[string][]access.Token{"tokens": tokens}, func() error {
				return columns(cmd.OutOrStdout(), tokenRows(tokens, time.Now()))
			})
		},
	}
	f.add(cmd)
	return cmd
}

func listTokens(ctx context.Context, op *scanedge.Operator) ([]access.Token, error) {
	var list struct {
		Tokens []access.Token `json:"tokens"`
	}
	err := op.Call(ctx, "list the tokens", http.MethodGet, "/v1/tokens", nil, &list)
	return list.Tokens, err
}

// tokenRows is a table of the tokens, with a head.
func tokenRows(tokens []access.Token, now time.Time) [][]string {
	rows := [][]string{{"id", "kind", "name", "issuers", "limits", "made", "last use", "state"}}
	for _, t := range tokens {
		issuers, used := "", ago(t.Used, now)
		if t.Kind == access.Push {
			issuers = "all"
			if len(t.Issuers) > 0 {
				issuers = strings.Join(t.Issuers, ",")
			}
		}
		rows = append(rows, []string{t.ID, string(t.Kind), printable(t.Name), issuers, limitsOf(t), ago(t.Made, now), used, stateOf(t, now)})
	}
	return rows
}

// limitsOf reads like "1000/s, 5000 a push", or of a scanner key "5/s, 50 at once, guarded".
func limitsOf(t access.Token) string {
	var limits []string
	if t.Rate > 0 {
		r := rate(t.Rate)
		limits = append(limits, r.String())
	}
	if t.MaxDeltas > 0 {
		limits = append(limits, strconv.Itoa(t.MaxDeltas)+" a push")
	}
	if t.Burst > 0 {
		limits = append(limits, strconv.Itoa(t.Burst)+" at once")
	}
	if t.Guard != nil && *t.Guard {
		limits = append(limits, "guarded")
	}
	return strings.Join(limits, ", ")
}

// stateOf is what became of a token, or what will.
func stateOf(t access.Token, now time.Time) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked " + ago(t.Revoked, now)
	case !t.Lives(now):
		return "expired " + ago(t.Expires, now)
	}
	state := "in force"
	if !t.Rotated.IsZero() {
		state += ", rotated " + ago(t.Rotated, now)
	}
	if !t.Expires.IsZero() {
		state += ", until " + t.Expires.Local().Format("2006-01-02 15:04")
	}
	return state
}

func newTokenRevokeCmd() *cobra.Command {
	var f operatorFlags
	var agreed consent
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token at once",
		Long: `revoke ends a token with all its secrets: at the origin at once, and if it is a scanner key on every edge that hears from the origin
within a second. ` + ordersAsk + ` The last admin token without an end can't be revoked.`,
		Example: `  scanedge token revoke k3v7q2ma`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			op, err := f.open()
			if err != nil {
				return err
			}
			if err := agreed.toOrder(cmd, func() (string, error) { return whatIsRevoked(cmd.Context(), op, args[0]) }); err != nil {
				return err
			}
			var gone access.Token
			if err := op.Call(cmd.Context(), "revoke token "+args[0], http.MethodDelete, "/v1/tokens/"+url.PathEscape(args[0]), nil, &gone); err != nil {
				return err
			}
			return f.print(cmd, gone, func() error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "revoked the %s token %s of %s\n", gone.Kind, gone.ID, strconv.Quote(gone.Name))
				return err
			})
		},
	}
	f.add(cmd)
	agreed.add(cmd, doNotAsk)
	return cmd
}

// whatIsRevoked asks so that a mistyped id is seen.
func whatIsRevoked(ctx context.Context, op *scanedge.Operator, id string) (string, error) {
	tokens, err := listTokens(ctx, op)
	for _, t := range tokens {
		if t.ID == id {
			return fmt.Sprintf("Revoke the %s token %s of %q, last used %s?", t.Kind, id, t.Name, ago(t.Used, time.Now())), err
		}
	}
	return "Revoke token " + id + "?", err
}
