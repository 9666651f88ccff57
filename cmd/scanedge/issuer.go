package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/origin"
)

func newIssuerCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "issuer",
		Short: "Make issuers, look at them, change what is settled for them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newIssuerCreateCmd(), newIssuerSetCmd(), newIssuerShowCmd(), newIssuerListCmd())
	return cmd
}

// policyFlags are what may be settled for an issuer. Only those that are given are sent.
type policyFlags struct {
	maxStale, snapshotEvery period
	plain                   bool
	bad, all                share
	floor, window           int
}

func (f *policyFlags) add(cmd *cobra.Command) {
	f.plain, f.bad, f.all, f.floor = true, 0.05, 0.2, 1000
	fl := cmd.Flags()
	fl.Var(&f.maxStale, "max-stale", "the age past which edges refuse to answer; 0s: as soon as they may not vouch any more")
	fl.BoolVar(&f.plain, "plain", true, "edges answer for plain codes, issuer:subject, which prove nothing of their bearer")
	fl.IntVar(&f.window, "code-window", 1, "steps of 30 s by which a rolling code may be behind or ahead of an edge's clock, 0 to 20")
	fl.Var(&f.snapshotEvery, "snapshot-every", "the age at which its snapshot is replaced; 0s: as the origin does by default")
	fl.Var(&f.bad, "max-change-bad", "the share of its subjects that one push may turn red or void without a second person's word")
	fl.Var(&f.all, "max-change-all", "the share of its subjects that one push may change in any way or remove")
	fl.IntVar(&f.floor, "max-change-floor", 1000, "subjects that one push may change in any case")
}

// risks are what an operator may come to regret of a policy.
func (f *policyFlags) risks(cmd *cobra.Command, now issuer.Policy) (risks []string) {
	set := cmd.Flags().Changed
	if set("plain") && !f.plain && now.Plain {
		risks = append(risks, "Every edge refuses plain codes then.")
	}
	if before := time.Duration(now.MaxStaleSeconds * 1e9); set("max-stale") && time.Duration(f.maxStale) < before {
		risks = append(risks, fmt.Sprintf("Edges that are cut off refuse to answer after %s then, not after %s.", f.maxStale.String(), before))
	}
	if set("code-window") && f.window < now.CodeWindowSteps {
		risks = append(risks, fmt.Sprintf("Rolling codes are refused then where a phone's clock is off by more than %d s.", f.window*passcode.StepSeconds))
	}
	if m := now.MaxChange; set("max-change-bad") && float64(f.bad) > m.Bad || set("max-change-all") && float64(f.all) > m.All ||
		set("max-change-floor") && f.floor > m.Floor {
		risks = append(risks, "A larger wrong push is applied then without a second person's word.")
	}
	return risks
}

// rekeyFlags are what may be done to an issuer's code keys.
type rekeyFlags struct{ fresh, dropOld bool }

func (f *rekeyFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.fresh, "new-code-key", false, "draw another code key; the one before stays known")
	cmd.Flags().BoolVar(&f.dropOld, "drop-old-code-key", false,
		"forget all code keys but the newest at once, with --new-code-key all that there are: codes that they made are forged then")
}

func (f *rekeyFlags) order(order map[string]any) {
	if f.fresh {
		order["new_code_key"] = true
	}
	if f.dropOld {
		order["drop_old_code_key"] = true
	}
}

// risks say whose codes are refused when the keys of some ids, the newest first, are dealt with so.
func (f *rekeyFlags) risks(ids []int) []string {
	keep := ids
	if f.fresh {
		keep = ids[:min(len(ids), 1)]
	}
	if f.dropOld {
		keep = ids[:min(len(ids), 1)]
		if f.fresh {
			keep = nil
		}
	}
	var lost []string
	for _, id := range ids[len(keep):] {
		lost = append(lost, strconv.Itoa(id))
	}
	if len(lost) == 0 {
		return nil
	}
	return []string{"Rolling codes made with code key " + strings.Join(lost, " or ") + " are refused as forged then, until their phones have a new secret."}
}

// order is the body of a request that settles what was given.
func (f *policyFlags) order(cmd *cobra.Command) map[string]any {
	order, change := map[string]any{}, map[string]any{}
	for flag, add := range map[string]func(){
		"max-stale":        func() { order["max_stale_s"] = f.maxStale.seconds() },
		"plain":            func() { order["plain"] = f.plain },
		"code-window":      func() { order["code_window_steps"] = f.window },
		"snapshot-every":   func() { order["snapshot_every_s"] = f.snapshotEvery.seconds() },
		"max-change-bad":   func() { change["bad"] = float64(f.bad) },
		"max-change-all":   func() { change["all"] = float64(f.all) },
		"max-change-floor": func() { change["floor"] = f.floor },
	} {
		if cmd.Flags().Changed(flag) {
			add()
		}
	}
	if len(change) > 0 {
		order["max_change"] = change
	}
	return order
}

func newIssuerCreateCmd() *cobra.Command {
	var f operatorFlags
	var policy policyFlags
	var seedFile, keyFile string
	cmd := &cobra.Command{
		Use:   "create ISSUER",
		Short: "Make an issuer: its seed, its signing key, its code keys, its log",
		Long: `create makes an issuer, an authority whose codes and statuses are replicated; edges that may hold it do so by themselves. What is not
given is as the origin does by default.

Its secrets are drawn by the origin and lie in DIR/issuers/ISSUER.json, mode 0600: back that up, for without it the log is of no
use. Or seed and signing key come from files of yours on the origin's machine, such as mounted secrets; then the origin keeps their
paths alone and reads them at each start.`,
		Example: `  scanedge issuer create gz --max-stale 12h
  scanedge issuer create sz --plain=false --seed-file /run/secrets/sz-seed --signing-key-file /run/secrets/sz-key.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			order := policy.order(cmd)
			if seedFile != "" {
				order["seed_file"] = seedFile
			}
			if keyFile != "" {
				order["signing_key_file"] = keyFile
			}
			return settle(cmd, &f, args[0], order, nil)
		},
	}
	f.add(cmd)
	policy.add(cmd)
	cmd.Flags().StringVar(&seedFile, "seed-file", "", "absolute path, on the origin's machine, of 32 hex digits, as of openssl rand -hex 16")
	cmd.Flags().StringVar(&keyFile, "signing-key-file", "", "absolute path, on the origin's machine, of a PEM, as of openssl genpkey -algorithm ed25519")
	return cmd
}

func newIssuerSetCmd() *cobra.Command {
	var f operatorFlags
	var policy policyFlags
	var rekey rekeyFlags
	var agreed consent
	cmd := &cobra.Command{
		Use:   "set ISSUER",
		Short: "Change what is settled for an issuer",
		Long: `set changes what its flags name and leaves all else as it is. Edges that hear from the origin act on it within a second.

It asks where gates may come to a stop, by refused codes or a shorter --max-stale, and where a larger mistake may pass, by a
wider --max-change-…. ` + ordersAsk,
		Example: `  scanedge issuer set gz --plain=false
  scanedge issuer set gz --max-change-bad 1% --max-change-floor 100
  scanedge issuer set gz --new-code-key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			order := policy.order(cmd)
			rekey.order(order)
			if len(order) == 0 {
				return usageError("nothing to set; see %s --help", cmd.CommandPath())
			}
			return settle(cmd, &f, args[0], order, func(now origin.IssuerDetail) error {
				return agreed.toOrder(cmd, func() (string, error) {
					risks := append(policy.risks(cmd, now.Policy), rekey.risks(now.CodeKeys)...)
					if len(risks) == 0 {
						return "", nil
					}
					return strings.Join(risks, "\n") + "\nSet it for " + args[0] + "?", nil
				})
			})
		},
	}
	f.add(cmd)
	policy.add(cmd)
	rekey.add(cmd)
	agreed.add(cmd, doNotAsk)
	return cmd
}

// settle makes an issuer, or changes one that is there if agree, not nil, takes no exception to what was settled before. It shows it.
func settle(cmd *cobra.Command, f *operatorFlags, id string, order map[string]any, agree func(origin.IssuerDetail) error) error {
	there := agree != nil
	op, path, err := openIssuer(f, id)
	if err != nil {
		return err
	}
	var now origin.IssuerDetail
	err = op.Call(cmd.Context(), "look at issuer "+id, http.MethodGet, path, nil, &now)
	switch missing := problemOf(err, scanedge.UnknownIssuer) != nil; {
	case err != nil && !missing, missing && there:
		return err
	case !missing && !there:
		return fmt.Errorf("issuer %s is there already; change it with: scanedge issuer set %s", id, id)
	}
	if there {
		if err := agree(now); err != nil {
			return err
		}
	}
	if err := op.Call(cmd.Context(), "settle issuer "+id, http.MethodPut, path, order, &now); err != nil {
		return err
	}
	return showIssuer(cmd, f, now)
}

func openIssuer(f *operatorFlags, id string) (op *scanedge.Operator, path string, err error) {
	if err := cache.CheckIssuer([]byte(id)); err != nil {
		return nil, "", usageError("issuer %q: %w", id, err)
	}
	op, err = f.open()
	return op, "/v1/issuers/" + url.PathEscape(id), err
}

func newIssuerShowCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "show ISSUER",
		Short: "Show what an issuer has and what is settled for it; no secret",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			op, path, err := openIssuer(&f, args[0])
			if err != nil {
				return err
			}
			var now origin.IssuerDetail
			if err := op.Call(cmd.Context(), "look at issuer "+args[0], http.MethodGet, path, nil, &now); err != nil {
				return err
			}
			return showIssuer(cmd, &f, now)
		},
	}
	f.add(cmd)
	return cmd
}

func showIssuer(cmd *cobra.Command, f *operatorFlags, i origin.IssuerDetail) error {
	return f.print(cmd, i, func() error {
		p := i.Policy
		bad, all := share(p.MaxChange.Bad), share(p.MaxChange.All)
		every := "as the origin does by default"
		if p.SnapshotEverySeconds > 0 {
			every = time.Duration(p.SnapshotEverySeconds * 1e9).String()
		}
		var keys []string
		for _, id := range i.CodeKeys {
			keys = append(keys, strconv.Itoa(id))
		}
		return columns(cmd.OutOrStdout(), [][]string{
			{"issuer", i.Issuer},
			{"subjects", strconv.Itoa(i.Count)},
			{"by status", fmt.Sprintf("%d green, %d yellow, %d red, %d void", i.Counts[scanedge.Green], i.Counts[scanedge.Yellow],
				i.Counts[scanedge.Red], i.Counts[scanedge.Void])},
			{"offset", strconv.FormatUint(i.Offset, 10)},
			{"digest", i.Digest},
			{"max stale", time.Duration(p.MaxStaleSeconds * 1e9).String()},
			{"plain codes", map[bool]string{true: "answered", false: "refused"}[p.Plain]},
			{"code window", fmt.Sprintf("%d s either way", p.CodeWindowSteps*passcode.StepSeconds)},
			{"snapshot every", every},
			{"max change", fmt.Sprintf("%s to red or void, %s in all, above %d subjects", bad.String(), all.String(), p.MaxChange.Floor)},
			{"public key", base64.StdEncoding.EncodeToString(i.PublicKey)},
			{"signing key in", orOwn(i.KeyFile)},
			{"seed", "id " + i.SeedID},
			{"seed in", orOwn(i.SeedFile)},
			{"code keys", strings.Join(keys, ", ")},
		})
	})
}

// orOwn is where a secret lies.
func orOwn(path string) string {
	if path == "" {
		return "the origin's data folder"
	}
	return path
}

type issuerList struct {
	Issuers []origin.IssuerState `json:"issuers"`
}

func listIssuers(ctx context.Context, op *scanedge.Operator) (list issuerList, err error) {
	err = op.Call(ctx, "list the issuers", http.MethodGet, "/v1/issuers", nil, &list)
	return list, err
}

func newIssuerListCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the issuers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			op, err := f.open()
			if err != nil {
				return err
			}
			list, err := listIssuers(cmd.Context(), op)
			if err != nil {
				return err
			}
			return f.print(cmd, list, func() error {
				rows := [][]string{{"issuer", "subjects", "offset", "digest"}}
				for _, i := range list.Issuers {
					rows = append(rows, []string{i.Issuer, strconv.Itoa(i.Count), strconv.FormatUint(i.Offset, 10), i.Digest})
				}
				return columns(cmd.OutOrStdout(), rows)
			})
		},
	}
	f.add(cmd)
	return cmd
}
