package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/origin"
)

func newBenchCleanCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Take away what bench prepare made",
		Long: `clean removes every subject of ` + strings.Join(benchIssuers, " and ") + ` and revokes the tokens named ` + benchToken + `, and the keys ` + keyName(2) + ` and so on. With --up FILE of bench prepare
it removes FILE and its code keys too. What stays, for an origin has no way to unmake an issuer: the two issuers, empty, with their keys, and
their logs until the origin trims them. Run again, also after a cut, it completes.`,
		Example: `  scanedge bench clean --up bench.json
  SCANEDGE_TOKEN=admin-… scanedge bench clean --origin http://127.0.0.1:7000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			op, err := f.open()
			if err != nil {
				return err
			}
			ctx, release := untilHangup(cmd.Context())
			defer release()
			done, err := f.clean(ctx, op)
			if err != nil {
				return err
			}
			return f.print(cmd, done, func() error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "removed %s, revoked %s; what stays: %s\n", many(done.Removed, "subject"),
					many(done.Revoked, "token"), done.Stays())
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

// cleaned is what bench clean answers.
type cleaned struct {
	Removed int      `json:"removed"` // subjects
	Revoked int      `json:"revoked"` // tokens
	Issuers []string `json:"issuers"` // that stay, empty
}

// Stays says in words what an origin keeps.
func (c *cleaned) Stays() string {
	if len(c.Issuers) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%s, empty, with their keys, and their logs until the origin trims them", strings.Join(c.Issuers, " and "))
}

// clean takes away the subjects, then what secrets lie in files, then the tokens, that of this very order last: what is cut can be run again.
func (f *operatorFlags) clean(ctx context.Context, op *scanedge.Operator) (done cleaned, err error) {
	up, err := runningFleet(f.up, f.origin)
	if err != nil {
		return done, err
	}
	p := preparing{op: op, ca: f, up: &fleet.Up{Origin: f.origin, CA: up.CA}}
	if f.origin == "" {
		p.up.Origin = up.Origin
	}
	for _, id := range benchIssuers {
		n, there, err := p.empty(ctx, id)
		if err != nil {
			return done, fmt.Errorf("remove the subjects of %s: %w", id, err)
		}
		if done.Removed += n; there {
			done.Issuers = append(done.Issuers, id)
		}
	}
	ours := f.up != "" && slices.Equal(up.Issuers, benchIssuers) // not that of a whole fleet
	if ours {
		if err := removeFile(up.CodeKeys); err != nil {
			return done, err
		}
	}
	if done.Revoked, err = p.revokeAll(ctx); err != nil || !ours {
		return done, err
	}
	return done, removeFile(f.up)
}

// empty removes all subjects of an issuer and says how many there were, and whether there is that issuer.
func (p *preparing) empty(ctx context.Context, id string) (n int, there bool, err error) {
	var now origin.IssuerDetail
	err = p.op.Call(ctx, "look at issuer "+id, http.MethodGet, issuerURL(id), nil, &now)
	if problemOf(err, scanedge.UnknownIssuer) != nil {
		return 0, false, nil
	}
	if err != nil || now.Count == 0 {
		return 0, true, err
	}
	if p.up.PushToken == "" { // to push takes a push token, and nobody keeps the one of the target
		tokens, err := benchTokens(ctx, p.op)
		if err != nil {
			return 0, true, err
		}
		if p.up.PushToken, err = p.token(ctx, tokens, pushOrder); err != nil {
			return 0, true, err
		}
	}
	o, err := p.pusher()
	if err != nil {
		return 0, true, err
	}
	_, err = replace(ctx, o, id, func(w io.Writer) error { // an empty file is refused as a mistake
		_, err := io.WriteString(w, `{"subject":"d000000001","remove":true}`+"\n")
		return err
	})
	return int(now.Count), true, err
}

// revokeAll ends the tokens of the target and says how many there were. The last may be the one that this is done with.
func (p *preparing) revokeAll(ctx context.Context) (int, error) {
	ids, err := benchTokens(ctx, p.op)
	if err != nil {
		return 0, err
	}
	all := slices.Concat(ids.of(access.Push), ids.of(access.Scan), ids.of(access.Admin))
	return len(all), p.revoke(ctx, all)
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); path != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what bench prepare wrote: %w; remove it by hand, for it holds secrets", err)
	}
	return nil
}
