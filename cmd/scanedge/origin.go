package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/origin"
)

type originFlags struct {
	dir, listen, admin, nats string
	issuers                  []string
}

func newOriginCmd() *cobra.Command {
	var f originFlags
	cmd := &cobra.Command{
		Use:   "origin",
		Short: "Run an origin: take pushes, keep the log, feed the edges",
		Long: `origin takes status deltas from the authority, makes them durable in its log and lets edges follow it.

The first start makes DIR/tokens.json (mode 0600) with the push token, the scanner key and the others, and an issuer's
secret for each of --issuers in DIR/issuers. Back both up: without an issuer's secret its log is of no use.

SIGTERM finishes the pushes under way and exits 0.`,
		Example: `  scanedge origin --dir /var/lib/scanedge --issuers gz,sz
  curl -H "Authorization: Bearer $(jq -r .push_token /var/lib/scanedge/tokens.json)" --data-binary @deltas.ndjson \
       http://127.0.0.1:7000/v1/issuers/gz/deltas`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runOrigin(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "origin-data", "data folder: log, secrets, tokens")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:7000", "HOST:PORT for pushes and for edges that bootstrap")
	fl.StringVar(&f.admin, "admin-listen", "127.0.0.1:7010", "HOST:PORT for health, metrics, pprof and operators")
	fl.StringVar(&f.nats, "nats-listen", "127.0.0.1:7020", "HOST:PORT on which edges follow the log")
	fl.StringSliceVar(&f.issuers, "issuers", nil,
		"issuers to make, besides those that DIR holds: ids of a-z, 0-9 and '-' (the first start makes demo-a,demo-b if none is named)")
	return cmd
}

// originListening is what an origin announces.
type originListening struct {
	PID   int    `json:"pid"`
	API   string `json:"api"`
	Admin string `json:"admin"`
	NATS  string `json:"nats"`
}

func runOrigin(ctx context.Context, f originFlags) error {
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
	adm, err := listen(f.admin, "operators", "--admin-listen")
	if err != nil {
		return err
	}
	var running atomic.Pointer[origin.Origin]
	set := metrics.NewSet()
	admin := serve(adm, adminHandler(set, originUnready(&running), originAdmin(&running)), logger)
	defer admin.stop()

	o, err := origin.Open(ctx, origin.Config{
		Dir: f.dir, LogListen: f.nats, Issuers: originIssuers(f), Logger: logger, Metrics: set,
	})
	if err != nil {
		return err
	}
	defer o.Close()
	running.Store(o)
	pushes := serve(api, o.API(), logger)
	defer pushes.stop()
	at := originListening{os.Getpid(), pushes.url, admin.url, "nats://" + o.LogAddr()}
	if err := dir.announce(at); err != nil {
		return err
	}
	logger.Info("origin is up", "version", version, "api", at.API, "admin", at.Admin, "nats", at.NATS,
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
