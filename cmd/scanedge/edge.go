package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/limit"
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

SIGTERM finishes the scans under way and exits 0.`,
		Example: `  scanedge edge --join join-…
  scanedge edge --dir /var/lib/scanedge --listen :7001 --tls-listen :7443
  scanedge edge --origin https://origin.example:7020`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkEdge(f); err != nil {
				return err
			}
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
		"steps of 64MiB, and up to as much again for their index; 0 remembers nothing")
	fl.DurationVar(&f.snapshotEvery, "snapshot-every", 10*time.Minute, "how often tables are kept on disk for the next start")
	fl.DurationVar(&f.scrubEvery, "scrub-every", 10*time.Minute, "in what time the memory of all tables is read again and checked")
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
	dir, err := openDataDir(ctx, f.dir, "edge")
	if err != nil {
		return err
	}
	defer dir.close()
	known, err := enrol.Load(identityOf(f.dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	at, err := listenAsEdge(f)
	if err != nil {
		return err
	}
	defer at.close()
	logger := newLogger()
	dir.warnExposed(logger, "identity/key.pem")
	id, err := identify(ctx, known, f, logger) // only now, so that a port that is taken costs no token
	if err != nil || ctx.Err() != nil {
		return err
	}
	return serveAsEdge(ctx, f, dir, at, id, logger.With("edge", id.Name()))
}

// edgeListeners are where an edge listens.
type edgeListeners struct{ scans, secure, admin, peers net.Listener }

func listenAsEdge(f edgeFlags) (at edgeListeners, err error) {
	for _, l := range []struct {
		to                  *net.Listener
		addr, purpose, flag string
	}{
		{&at.scans, f.listen, "scans", "--listen"}, {&at.secure, f.tls, "scans over TLS", "--tls-listen"},
		{&at.admin, f.admin, "operators", "--admin-listen"}, {&at.peers, f.peer, "other edges", "--peer-listen"},
	} {
		if l.addr == "" {
			continue // only peers need not be served
		}
		if *l.to, err = listen(l.addr, l.purpose, l.flag); err != nil {
			at.close()
			return at, err
		}
	}
	return at, nil
}

func (at edgeListeners) close() {
	for _, l := range []net.Listener{at.scans, at.secure, at.admin, at.peers} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// serveAsEdge holds the tables and answers scans until ctx ends.
func serveAsEdge(ctx context.Context, f edgeFlags, dir *dataDir, at edgeListeners, id *enrol.Identity, logger *slog.Logger) error {
	origin := strings.TrimRight(cmp.Or(f.origin, id.Origin()), "/")
	set, fleet, keys := metrics.NewSet(), new(fellows), new(access.Uses)
	server := edge.New(set)
	server.Remember(int(f.memo))
	var rings keyrings
	server.Hold(f.issuers)
	learned := func(c access.Control) {
		fleet.learn(c.Edges)
		keys.Learn(c)
		learn(server, f.issuers, c, keys)
	}
	keeper := replica.New(replica.Config{
		Origin: origin, Client: client(id.Client()), Sources: client(id.ToSources(fleet.know)), Issuers: f.issuers, Dir: f.dir,
		MemoryLimit: int64(f.memory), SnapshotEvery: f.snapshotEvery, ScrubEvery: f.scrubEvery, PeerURL: urlOf(at.peers),
		Version: version, Scans: server.Scans, Used: keys.News, Learned: learned,
		Publish: func(pub issuer.Public, v replica.View) { server.Publish(pub.ID, vouch(pub, v, rings.of(pub))) },
		Logger:  logger, Metrics: set,
	})
	set.NewGauge("scanedge_certificate_expires_seconds", func() float64 { return float64(id.Ends().Unix()) })
	if at.peers != nil {
		secure := func(s *http.Server) { s.TLSConfig = id.ForPeers(fleet.know) }
		defer serveTLS(at.peers, forFellows(fleet.know, keeper.Peers()), secure, logger).stop()
	}
	admin := serve(at.admin, adminHandler(set, func() string { return cmp.Or(keeper.Refused(), server.Unready()) }, edgeReport(id.Name(), keeper)), logger)
	defer admin.stop()
	front := server.HTTP()
	served := make(chan error, 2)
	go func() { served <- front.Serve(at.scans) }()
	go func() { served <- front.Serve(tls.NewListener(at.secure, id.Server())) }()
	says := edgeListening{
		os.Getpid(), id.Name(), "http://" + at.scans.Addr().String(), "https://" + at.secure.Addr().String(), admin.url, urlOf(at.peers),
	}
	if err := dir.announce(says); err != nil {
		return err
	}
	logger.Info("edge is up", "version", version, "scan", says.Scan, "scan_tls", says.ScanTLS, "admin", says.Admin, "origin", origin)

	var renewing sync.WaitGroup
	renewing.Go(func() { id.Keep(ctx, origin, logger) })
	keeper.Run(ctx)
	renewing.Wait()
	logger.Info("stopping")
	drain, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if err := front.ShutdownWithContext(drain); err != nil {
		logger.Warn("scans under way were cut off", "err", err, "within", drainWithin.Round(time.Second))
		return nil
	}
	return errors.Join(<-served, <-served)
}

func urlOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return "https://" + l.Addr().String()
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
	server.Admit(func(key []byte) (limit.Caller, bool) { return limit.Caller{}, keys.Admit(key) })
}
