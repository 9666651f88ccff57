package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/pflag"

	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/sync/access"
)

// limitFlags are who may scan at an edge, and how fast.
type limitFlags struct {
	file      string
	proxies   []string
	header    string
	scannerCA string

	made scanLimits // by read
}

// The headers that proxies name their clients in.
const (
	forwardedFor = "X-Forwarded-For"
	forwarded    = "Forwarded"
)

func (f *limitFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.file, "limits", "", "YAML file of how fast scanner keys and addresses may scan (default: keys as the origin says, "+
		"addresses 500/s, loopback as it comes)")
	fl.StringSliceVar(&f.proxies, "trusted-proxies", nil, "addresses or ranges of proxies that are believed whom they speak for, such as 10.0.0.0/8")
	fl.StringVar(&f.header, "proxy-header", forwardedFor, "the header in which they say it, X-Forwarded-For or Forwarded; the other is not read")
	fl.StringVar(&f.scannerCA, "scanner-ca", "", "PEM file of CAs whose client certificates stand for a scanner key on --tls-listen")
}

// scanLimits are those flags, read.
type scanLimits struct {
	*edgeLimits
	proxies  *edge.Proxies
	scanners *x509.CertPool // nil: certificates are not asked for
}

// read reads what the flags name, and says what is wrong with it.
func (f *limitFlags) read() (err error) {
	s := &f.made
	if s.edgeLimits, err = readLimits(f.file); err != nil {
		return usageError("--limits: %w", err)
	}
	if !strings.EqualFold(f.header, forwardedFor) && !strings.EqualFold(f.header, forwarded) {
		return usageError("--proxy-header is %q; it must be %s or %s", f.header, forwardedFor, forwarded)
	}
	if len(f.proxies) > 0 {
		s.proxies = &edge.Proxies{RFC7239: strings.EqualFold(f.header, forwarded)}
	}
	for _, p := range f.proxies {
		r, err := parseRange(p)
		if err != nil {
			return usageError("--trusted-proxies: %w", err)
		}
		s.proxies.Trusted = append(s.proxies.Trusted, r)
	}
	if f.scannerCA == "" {
		return nil
	}
	b, err := os.ReadFile(f.scannerCA)
	if err != nil {
		return usageError("--scanner-ca: %w", err)
	}
	if s.scanners = x509.NewCertPool(); !s.scanners.AppendCertsFromPEM(b) {
		return usageError("--scanner-ca: there is no certificate in %s; it must be PEM", f.scannerCA)
	}
	return nil
}

// apply puts the limits in force. Call it before the server serves.
func (s scanLimits) apply(server *edge.Server, keys *access.Uses, set *metrics.Set) {
	server.Limit(edge.Guests{
		Addresses: s.addresses, Holders: s.holders, Table: s.table, Proxies: s.proxies,
		Certificates: s.scanners != nil, Certified: s.unsaid,
	})
	set.NewGauge("scanedge_locked_out", func() float64 {
		now := server.Clock(time.Now())
		return float64(len(keys.Locked(now)) + s.table.Locked(now))
	})
	set.NewGauge("scanedge_limit_untracked_total", func() float64 { return float64(s.table.Untracked()) })
}

// exempt also spares trusted proxies the bound of an address on connections: they bring everybody's.
func (s scanLimits) exempt(b edge.Bounds) edge.Bounds {
	spared := b.Exempt
	b.Exempt = func(a netip.Addr) bool { return spared(a) || s.proxies.Trust(a) }
	return b
}

// askForCertificates lets clients of a TLS listener bring a scanner's certificate. One that is wrong fails the handshake.
func (s scanLimits) askForCertificates(c *tls.Config) *tls.Config {
	if s.scanners == nil {
		return c
	}
	c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, s.scanners
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) > 0 && state.PeerCertificates[0].Subject.CommonName == "" {
			return errors.New("the scanner's certificate has no common name, by which it would be known")
		}
		return nil
	}
	return c
}

// sayLockedOut logs which scanner keys were locked out, as they are, until ctx ends.
func sayLockedOut(ctx context.Context, server *edge.Server, keys *access.Uses, logger *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before []string
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := keys.Locked(server.Clock(time.Now()))
		for _, name := range now {
			if !slices.Contains(before, name) {
				logger.Warn("a scanner key is locked out for a while: it collected too many unknown or forged codes", "scanner", name)
			}
		}
		before = now
	}
}
