package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/replica"
)

type edgeFlags struct {
	join, origin, dir        string
	listen, tls, admin, peer string

	issuers                   []string
	memory, memo              byteSize
	snapshotEvery, scrubEvery time.Duration

	limits limitFlags

	takeOver    bool
	drain       time.Duration
	incarnation string // no flag: names this process

	front frontFlags
}

func newEdgeCmd() *cobra.Command {
	var f edgeFlags
	cmd := &cobra.Command{
		Use:   "edge",
		Short: "Run an edge: hold the tables, answer scans; enrol and revoke edges",
		Long: `edge follows the origin's log and answers scans from memory. It must have been enrolled: the first start takes the token that
scanedge edge enrol printed, makes a key, which stays in DIR/identity, and gets a certificate for it, which renews itself from then on.
Later starts need nothing. All else it learns from the origin: the issuers with their seeds and public keys, and which scanner keys to
admit.

It begins with the table that it kept in DIR, or with a snapshot from the origin or from other edges, and reads on in the log. It is
ready (/readyz) when its tables have caught up and the origin's heartbeat agrees with them. While the origin is not there it
waits, says so, and answers scans with 503 not-ready; once ready it serves on through an outage: the age in its answers grows, past
3 s they are marked stale, and past the issuer's max_stale scans are answered with 503 too-stale.

GET /v1/report on --admin-listen says of each issuer how far its table can be believed, and why not further.

SIGTERM finishes the scans under way and exits 0: new connections are refused, each answer says that it is the last on its connection
(Connection: close), and after --drain those on which nothing was asked are closed. /readyz is 503 meanwhile.

With --take-over it takes the place of the process that runs in DIR without a scan lost, as for another release: it begins with the tables that
that one keeps for it, catches up, takes over its listeners when it is ready, and the other finishes what it has and exits. Until then
there are two tables in memory. SIGUSR2 makes an edge start such a process by itself.`,
		Example: `  scanedge edge --join join-…
  scanedge edge --dir /var/lib/scanedge --listen :7001 --tls-listen :7443
  scanedge edge --dir /var/lib/scanedge --listen :7001 --tls-listen :7443 --take-over
  scanedge edge --origin https://origin.example:7020`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkEdge(f); err != nil {
				return err
			}
			if err := f.limits.read(); err != nil {
				return err
			}
			f.incarnation = rand.Text()
			return runEdge(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.join, "join", "", "the token of scanedge edge enrol; needed once (better as SCANEDGE_JOIN)")
	fl.StringVar(&f.origin, "origin", "", "URL of the origin's TLS listener, if it is not where the token said")
	fl.StringVar(&f.dir, "dir", "edge-data", "data folder: this edge's identity, the tables kept for the next start, and snapshots")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:7001", "HOST:PORT for scans, without TLS")
	fl.StringVar(&f.tls, "tls-listen", "127.0.0.1:7021", "HOST:PORT for scans over TLS")
	fl.StringVar(&f.admin, "admin-listen", "127.0.0.1:7011", "HOST:PORT for health, metrics, the report and pprof")
	fl.StringVar(&f.peer, "peer-listen", "", "HOST:PORT for other edges that fetch a snapshot; without it this edge offers none")
	fl.StringSliceVar(&f.issuers, "issuers", nil, "the issuers to hold; one that the origin does not have is waited for (all if none is named)")
	fl.Var(&f.memory, "memory-limit", "bytes that the tables may take together, such as 12GiB: beyond it a table is replaced in place, "+
		"its answers stale meanwhile, instead of by a second one beside it; 0 for no limit")
	f.memo = 64 << 20
	fl.Var(&f.memo, "memo-size", "bytes for what may be forgotten of codes, which signatures are good and which rolling codes were seen, in "+
		"steps of 64MiB, and up to half as much again for an index; 0 remembers nothing")
	fl.DurationVar(&f.snapshotEvery, "snapshot-every", 10*time.Minute, "how often tables are kept on disk for the next start")
	fl.DurationVar(&f.scrubEvery, "scrub-every", 10*time.Minute, "in what time the memory of all tables is read again and checked")
	fl.BoolVar(&f.takeOver, "take-over", false, "take over from the process that runs in DIR, without a scan lost; without one, start as usual")
	fl.DurationVar(&f.drain, "drain", drainWithin, "how long a process that ends waits for connections that are kept: each is closed with its next answer, "+
		"then all")
	f.limits.add(fl)
	f.front.add(fl)
	cmd.AddCommand(newEdgeEnrolCmd(), newEdgeListCmd(), newEdgeRevokeCmd())
	return cmd
}

// edgeListening is what an edge announces.
type edgeListening struct {
	PID     int    `json:"pid"`
	Name    string `json:"name"`
	Scan    string `json:"scan"`
	ScanTLS string `json:"scan_tls"`
	Admin   string `json:"admin"`
	Peer    string `json:"peer,omitempty"`
}

// urls are those of its doors, by name.
func (l *edgeListening) urls() map[string]string {
	return map[string]string{scanDoor: l.Scan, secureDoor: l.ScanTLS, adminDoor: l.Admin, peerDoor: l.Peer}
}

// checkEdge reports what is wrong with the settings of an edge.
func checkEdge(f edgeFlags) error {
	if f.origin != "" {
		if err := checkOrigin(f.origin); err != nil {
			return err
		}
	}
	if err := checkEnrolled(f); err != nil {
		return err
	}
	if f.drain < 0 {
		return usageError("--drain is %v; it must be 0s or more", f.drain)
	}
	if err := f.front.check(); err != nil {
		return err
	}
	for _, id := range f.issuers {
		if err := cache.CheckIssuer([]byte(id)); err != nil {
			return usageError("--issuers: %q: %w", id, err)
		}
	}
	for name, d := range map[string]time.Duration{"--snapshot-every": f.snapshotEvery, "--scrub-every": f.scrubEvery} {
		if d < time.Second {
			return usageError("%s is %v; it must be 1s or more", name, d)
		}
	}
	return nil
}

func runEdge(ctx context.Context, f edgeFlags) error {
	collectEarly()
	logger := newLogger()
	dir, before, err := edgeDir(ctx, f, logger)
	if err != nil {
		return err
	}
	defer dir.close()
	known, err := enrol.Load(identityOf(f.dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	at := doors{}
	defer at.end()
	if err := at.listen(f, before); err != nil {
		return err
	}
	shown, err := f.front.cert()
	if err != nil {
		return err
	}
	dir.warnExposed(logger, "identity/key.pem")
	if before != nil {
		f.join = "" // it is who it is
	}
	id, err := identify(ctx, known, f, logger) // only now, so that a port that is taken costs no token
	if err != nil || ctx.Err() != nil {
		return err
	}
	return newEdgeProcess(f, dir, at, before, id, shown, logger.With("edge", id.Name())).run(ctx)
}

// vouch is what the server can say of an issuer when a replica published a view.
func vouch(pub issuer.Public, v replica.View, codes *passcode.Keyring) edge.Vouch {
	return edge.Vouch{
		Seed: pub.Seed, Table: v.Table, Offset: v.Offset, Beat: v.Beat, Suspect: v.Suspect,
		MaxStale: time.Duration(pub.MaxStaleSeconds) * time.Second, PlainOff: !pub.Plain, Codes: codes,
	}
}

// learn makes the server hold and admit what the origin says: the chosen issuers, or all that it has. What is held once is not let
// go: an issuer that the origin does not name any more ages.
func learn(server *edge.Server, chosen []string, c access.Control, keys *access.Uses) {
	if len(chosen) == 0 {
		ids := server.Held()
		for _, pub := range c.Issuers {
			ids = append(ids, pub.ID)
		}
		server.Hold(ids)
	}
	server.Admit(keys.Admit)
}
