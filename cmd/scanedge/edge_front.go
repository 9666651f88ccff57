package main

import (
	"log/slog"
	"net/netip"
	"net/url"

	"github.com/spf13/pflag"

	"github.com/scanedge/scanedge/edge"
)

const (
	mostConnections = 16_384 // unless a number is given: some 30 KB each once it was used
	otherFiles      = 256    // what an edge has open beside scanners' connections
)

// frontFlags are the settings of what scanners reach.
type frontFlags struct {
	connections, perAddress int
	certFile, keyFile       string
	origins                 []string
}

func (f *frontFlags) add(fl *pflag.FlagSet) {
	fl.IntVar(&f.connections, "max-connections", 0, "connections for scans at once; when all are taken, one that asks nothing is closed for a new one "+
		"(0: 16384, or what the limit of open files allows)")
	fl.IntVar(&f.perAddress, "max-connections-per-address", 0, "connections of one address, or /64 of IPv6, at once; this machine's own have no "+
		"such bound (0: a quarter of all)")
	fl.StringVar(&f.certFile, "tls-cert", "", "PEM file of the certificate, with its chain, that --tls-listen shows (this edge's own, by the fleet's "+
		"CA, if there is none); read again when it changes, and at SIGHUP")
	fl.StringVar(&f.keyFile, "tls-key", "", "PEM file of the key of --tls-cert")
	fl.StringSliceVar(&f.origins, "cors-origins", nil, "origins, such as https://gate.example, whose pages may scan from a browser; * for all (none)")
}

func (f *frontFlags) check() error {
	if (f.certFile == "") != (f.keyFile == "") {
		return usageError("--tls-cert and --tls-key go together")
	}
	if f.connections < 0 || f.perAddress < 0 {
		return usageError("--max-connections and --max-connections-per-address must be 1 or more, or 0")
	}
	for _, o := range f.origins {
		u, err := url.Parse(o)
		if o == "*" && len(f.origins) == 1 || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && o == u.Scheme+"://"+u.Host {
			continue
		}
		return usageError("--cors-origins: %q is no origin: give https://HOST or https://HOST:PORT without a path, or * alone", o)
	}
	return nil
}

// cert is the certificate that --tls-cert names, or nil.
func (f *frontFlags) cert() (*shownCert, error) {
	if f.certFile == "" {
		return nil, nil
	}
	return loadCert(f.certFile, f.keyFile)
}

// bounds are how many connections are admitted: as many as are wanted, or as files allow, which it then says.
func (f *frontFlags) bounds(files uint64, logger *slog.Logger) edge.Bounds {
	n := f.connections
	if n == 0 {
		n = mostConnections
	}
	if uint64(n)+otherFiles > files {
		wanted := n
		n = int(max(1, int64(files)-otherFiles, int64(files)/2))
		logger.Warn("the limit of open files is too low for all connections; raise it (LimitNOFILE= in a unit, ulimit -n in a shell)",
			"connections_wanted", wanted, "connections_at_most", n, "open_files", files, "open_files_needed", wanted+otherFiles)
	}
	per := f.perAddress
	if per == 0 {
		per = max(1, n/4)
	}
	return edge.Bounds{Connections: n, PerAddress: per, Exempt: netip.Addr.IsLoopback}
}
