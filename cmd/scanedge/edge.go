package main

import (
	"context"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/replica"
)

type edgeFlags struct {
	origin, name, dir, listen, admin, token string
}

func newEdgeCmd() *cobra.Command {
	var f edgeFlags
	cmd := &cobra.Command{
		Use:   "edge --origin URL",
		Short: "Run an edge: hold the tables, answer scans",
		Long: `edge follows the origin's log and answers scans from memory. All but the origin's address it learns from the origin: where the
log is, the issuers with their seeds and public keys, and which scanner keys to admit.

It is ready (/readyz) when its tables have caught up with the log and the origin's heartbeat agrees with them. While the
origin is not there it waits, says so, and answers scans with 503 not-ready; once ready it serves on through any outage, and
the age in its answers grows.

SIGTERM finishes the scans under way and exits 0.`,
		Example: `  scanedge edge --origin http://127.0.0.1:7000
  SCANEDGE_EDGE_TOKEN=edge-… scanedge edge --origin http://origin.example:7000 --listen :7001 --name gate-3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkURL("--origin", f.origin); err != nil {
				return err
			}
			f.origin = strings.TrimRight(f.origin, "/")
			return runEdge(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.origin, "origin", "", "the origin's base URL (needed)")
	fl.StringVar(&f.name, "name", "edge", "this edge's name, in its logs")
	fl.StringVar(&f.dir, "dir", "edge-data", "data folder")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:7001", "HOST:PORT for scans")
	fl.StringVar(&f.admin, "admin-listen", "127.0.0.1:7011", "HOST:PORT for health, metrics and pprof")
	fl.StringVar(&f.token, "edge-token", "", "edge_token of the origin's tokens.json; not needed on the origin's machine (better as SCANEDGE_EDGE_TOKEN)")
	return cmd
}

// edgeListening is what an edge announces.
type edgeListening struct {
	PID   int    `json:"pid"`
	Name  string `json:"name"`
	Scan  string `json:"scan"`
	Admin string `json:"admin"`
}

func runEdge(ctx context.Context, f edgeFlags) error {
	if os.Getenv("GOGC") == "" {
		// The heap is nearly all table, without a pointer to follow, and scans allocate nothing: collecting early is cheap here
		// and saves as much memory as the tables take.
		debug.SetGCPercent(25)
	}
	dir, err := openDataDir(ctx, f.dir, "edge")
	if err != nil {
		return err
	}
	defer dir.close()
	logger := newLogger().With("edge", f.name)
	scans, err := listen(f.listen, "scans", "--listen")
	if err != nil {
		return err
	}
	defer scans.Close()
	adm, err := listen(f.admin, "operators", "--admin-listen")
	if err != nil {
		return err
	}
	set := metrics.NewSet()
	server := edge.New(set)
	admin := serve(adm, adminHandler(set, server.Unready, http.HandlerFunc(notFound)), logger)
	defer admin.stop()
	front := server.HTTP()
	served := make(chan error, 1)
	go func() { served <- front.Serve(scans) }()
	at := edgeListening{os.Getpid(), f.name, "http://" + scans.Addr().String(), admin.url}
	if err := dir.announce(at); err != nil {
		return err
	}
	logger.Info("edge is up", "version", version, "scan", at.Scan, "admin", at.Admin, "origin", f.origin)

	replica.Keep(ctx, replica.Config{
		Origin: f.origin, Token: f.token, Logger: logger, Metrics: set,
		Learned: func(b access.Bootstrap) { learn(server, b) },
		Publish: func(pub issuer.Public, v replica.View) {
			server.Publish(pub.ID, edge.Vouch{Seed: pub.Seed, Table: v.Table, Offset: v.Offset, Beat: v.Beat})
		},
	})
	logger.Info("stopping")
	drain, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if err := front.ShutdownWithContext(drain); err != nil {
		logger.Warn("scans under way were cut off", "err", err, "within", drainWithin.Round(time.Second))
		return nil
	}
	return <-served
}

// learn makes the server hold and admit what the origin says.
func learn(server *edge.Server, b access.Bootstrap) {
	ids := make([]string, 0, len(b.Issuers))
	for _, pub := range b.Issuers {
		ids = append(ids, pub.ID)
	}
	server.Hold(ids)
	keys := access.Set(b.ScannerKeys)
	server.Admit(func(key []byte) bool {
		_, ok := keys.Name(key)
		return ok
	})
}
