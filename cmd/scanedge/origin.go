package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/enrol"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/origin"
)

type originFlags struct {
	dir, listen, tls, admin, nats string
	advertise                     []string
	natsReplicas                  int
	issuers                       []string
	maxStale, snapshotEvery       time.Duration
}

func newOriginCmd() *cobra.Command {
	var f originFlags
	cmd := &cobra.Command{
		Use:   "origin",
		Short: "Run an origin: take pushes, keep the log, feed the edges",
		Long: `origin takes status deltas from the authority, makes them durable in its log and lets edges follow it.

The first start makes an admin token, a push token and a scanner key, shown in DIR/tokens.json (mode 0600), and an issuer's secret
for each of --issuers in DIR/issuers. Who may is kept in DIR/access.json from then on, as hashes: when the tokens are where they
belong, delete tokens.json. Without an issuer's secret its log is of no use: see scanedge backup. More tokens are made with
scanedge token, more issuers with scanedge issuer.

Edges are machines that were enrolled, by scanedge edge enrol; they ask at --tls-listen, where each shows the certificate that it got
when it joined. The first start makes the authority that issues these, in DIR/ca; who has been enrolled stands in DIR/edges.json. What
is served at --listen is served there too, for pushes from elsewhere: its certificate proves the name scanedge-origin, and that it is at
the hosts of --advertise.

A snapshot of each table is written to DIR/snapshots when the last one is older than --snapshot-every and anything changed
since, or the log has grown by more than 256 MiB and by more than the last one's size. The two newest are kept; the log is
trimmed behind the older. So DIR/snapshots and DIR/log belong together: scanedge backup copies what is needed of both.

With --nats the log is kept by a NATS server or cluster elsewhere (2.12 or later, JetStream, sync_interval: always). There
the origin needs a user that may use $JS.API.> and scanedge.>; edges follow the log at the origin and need none.

SIGTERM finishes the pushes under way and exits 0.`,
		Example: `  scanedge origin --dir /var/lib/scanedge --issuers gz,sz
  curl -H "Authorization: Bearer $(jq -r .push_token /var/lib/scanedge/tokens.json)" --data-binary @deltas.ndjson \
       http://127.0.0.1:7000/v1/issuers/gz/deltas`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return runOrigin(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "origin-data", "data folder: log, secrets, tokens")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:7000", "HOST:PORT for pushes, without TLS: keep it on this machine")
	fl.StringVar(&f.tls, "tls-listen", "127.0.0.1:7020", "HOST:PORT for edges, and for pushes and operators from elsewhere")
	fl.StringSliceVar(&f.advertise, "advertise", nil, "the DNS name or IP address at which edges find this origin; may be repeated: "+
		"edges are told the first, the certificate names all (default: the host of --tls-listen)")
	fl.StringVar(&f.admin, "admin-listen", "127.0.0.1:7010", "HOST:PORT for health, metrics, pprof and operators")
	fl.StringVar(&f.nats, "nats", "",
		"keep the log on a NATS server or cluster elsewhere: nats://USER:PASSWORD@HOST:PORT,… (better as SCANEDGE_NATS)")
	fl.IntVar(&f.natsReplicas, "nats-replicas", 1, "with --nats: on how many servers of the cluster each log is kept: 1, 3 or 5")
	fl.StringSliceVar(&f.issuers, "issuers", nil,
		"issuers to make, besides those that DIR holds: ids of a-z, 0-9 and '-' (the first start makes demo-a,demo-b if none is named)")
	fl.DurationVar(&f.maxStale, "max-stale", issuer.DefaultMaxStale,
		"of issuers that are made: the age past which edges refuse to answer; 0: as soon as they may not vouch any more")
	fl.DurationVar(&f.snapshotEvery, "snapshot-every", time.Hour, "the age at which a snapshot is replaced; 0: only when the log has grown")
	return cmd
}

func (f originFlags) check() error {
	for _, host := range f.advertise {
		if err := enrol.CheckHost(host); err != nil {
			return usageError("--advertise: %w", err)
		}
	}
	if len(f.advertise) == 0 && unspecified(f.tls) {
		return usageError("--tls-listen %s is every address of this machine; say at which one edges find it, with --advertise HOST", f.tls)
	}
	switch {
	case f.maxStale < 0:
		return usageError("--max-stale is %v; it must be 0 or more", f.maxStale)
	case f.snapshotEvery < 0:
		return usageError("--snapshot-every is %v; it must be 0 or more", f.snapshotEvery)
	case f.natsReplicas != 1 && f.natsReplicas != 3 && f.natsReplicas != 5:
		return usageError("--nats-replicas is %d; it must be 1, 3 or 5", f.natsReplicas)
	case f.nats == "" && f.natsReplicas != 1:
		return usageError("--nats-replicas is for a log elsewhere; name it with --nats")
	}
	return nil
}

// elsewhere is where the log is, nil if it is to be in this process.
func (f originFlags) elsewhere() *origin.Elsewhere {
	if f.nats == "" {
		return nil
	}
	return &origin.Elsewhere{URL: f.nats, Replicas: f.natsReplicas}
}

// originListening is what an origin announces.
type originListening struct {
	PID   int    `json:"pid"`
	API   string `json:"api"`
	TLS   string `json:"tls"` // the same over TLS, and what edges ask
	Admin string `json:"admin"`
	CA    string `json:"ca"` // path of the certificate that verifies it
}

// unspecified reports whether a listener at addr takes connections at every address.
func unspecified(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "" || ip != nil && ip.IsUnspecified())
}

// hosts are where edges find an origin that listens at addr, the one that they are told first.
func (f originFlags) hosts(addr net.Addr) []string {
	if len(f.advertise) > 0 {
		return f.advertise
	}
	host, _, _ := net.SplitHostPort(addr.String()) // a listener's address has a port
	return []string{host}
}

// edgesAt is the URL of the listener at addr as edges are told it.
func (f originFlags) edgesAt(addr net.Addr) string {
	_, port, _ := net.SplitHostPort(addr.String())
	return "https://" + net.JoinHostPort(f.hosts(addr)[0], port)
}

func runOrigin(ctx context.Context, f originFlags) error {
	collectEarly()
	dir, err := openDataDir(ctx, f.dir, "origin")
	if err != nil {
		return err
	}
	defer dir.close()
	logger := newLogger()
	api, err := listen(f.listen, "pushes", "--listen")
	if err != nil {
		return err
	}
	defer api.Close()
	secure, err := listen(f.tls, "edges", "--tls-listen")
	if err != nil {
		return err
	}
	defer secure.Close()
	adm, err := listen(f.admin, "operators", "--admin-listen")
	if err != nil {
		return err
	}
	var running atomic.Pointer[origin.Origin]
	set := metrics.NewSet()
	admin := serve(adm, adminHandler(set, originUnready(&running), originAdmin(&running)), logger)
	defer admin.stop()

	o, err := origin.Open(ctx, origin.Config{
		Dir: f.dir, Version: version, Log: f.elsewhere(), Issuers: originIssuers(f), MaxStale: f.maxStale,
		EdgesAt: f.edgesAt(secure.Addr()), Hosts: f.hosts(secure.Addr()), SnapshotEvery: f.snapshotEvery, Logger: logger, Metrics: set,
	})
	if err != nil {
		return err
	}
	defer o.Close()
	dir.warnExposed(logger, "tokens.json", "access.json", "issuers/*.json", "edges.json", "ca/key.pem")
	running.Store(o)
	pushes := serve(api, o.API(), logger)
	defer pushes.stop()
	edges := serveTLS(secure, o.API(), o.Secure, logger)
	defer edges.stop()
	defer o.EndStreams() // or the servers would wait for them
	ca, err := filepath.Abs(o.CAPath())
	if err != nil {
		return err
	}
	at := originListening{os.Getpid(), pushes.url, edges.url, admin.url, ca}
	if err := dir.announce(at); err != nil {
		return err
	}
	logger.Info("origin is up", "version", version, "api", at.API, "tls", at.TLS, "edges are told", f.edgesAt(secure.Addr()), "admin", at.Admin,
		"tokens", filepath.Join(f.dir, "tokens.json"))
	select {
	case <-ctx.Done():
		logger.Info("stopping")
		return nil
	case err := <-o.Broken():
		return err
	}
}

// originIssuers is what the flag names and what the folder holds; with neither, the demo's. Each once.
func originIssuers(f originFlags) []string {
	ids := slices.Clone(f.issuers)
	held, _ := filepath.Glob(filepath.Join(f.dir, "issuers", "*.json"))
	for _, path := range held {
		ids = append(ids, strings.TrimSuffix(filepath.Base(path), ".json"))
	}
	if len(ids) == 0 {
		return []string{"demo-a", "demo-b"}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

const rebuilding = "rebuilding tables from the log"

func originUnready(running *atomic.Pointer[origin.Origin]) func() string {
	return func() string {
		if o := running.Load(); o == nil || !o.Ready() {
			return rebuilding
		}
		return ""
	}
}

// originAdmin answers operators once the origin is open.
func originAdmin(running *atomic.Pointer[origin.Origin]) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if o := running.Load(); o != nil {
			o.Admin().ServeHTTP(rw, req)
			return
		}
		scanedge.NewProblem(scanedge.NotReady, rebuilding).Write(rw)
	})
}
