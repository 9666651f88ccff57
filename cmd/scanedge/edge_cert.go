package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// lookAtCert is how often the files of a certificate are looked at.
const lookAtCert = 2 * time.Second

// shownCert is the certificate that an operator's files give scanners to see. Whatever handshakes next sees the newest that is any good;
// connections that are open go on.
type shownCert struct {
	certFile, keyFile string
	now               atomic.Pointer[tls.Certificate]

	// Of keep alone.
	loaded, refused certStamp
}

// certStamp tells whether the files are others than they were.
type certStamp [2]struct {
	changed time.Time
	size    int64
}

// loadCert reads the pair for the first time.
func loadCert(certFile, keyFile string) (*shownCert, error) {
	c := &shownCert{certFile: certFile, keyFile: keyFile}
	return c, c.load(time.Now())
}

// load takes the files' pair, if it is one, and in force at now.
func (c *shownCert) load(now time.Time) error {
	stamp, err := c.stamp()
	if err != nil {
		return fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.certFile, c.keyFile, err)
	}
	if leaf := pair.Leaf; now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return fmt.Errorf("--tls-cert %s is good from %s until %s, and it is %s", c.certFile, leaf.NotBefore.Format(time.RFC3339),
			leaf.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	c.now.Store(&pair)
	c.loaded, c.refused = stamp, certStamp{}
	return nil
}

// stamp is taken before the files are read: if they change meanwhile, they are read again.
func (c *shownCert) stamp() (s certStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i].changed, s[i].size = info.ModTime(), info.Size()
	}
	return s, nil
}

// keep reads the files again when they change, and when the process gets SIGHUP, until ctx ends. A pair that is no good, as while only one
// of its files was replaced, leaves the one before in its place. A nil shownCert has nothing to keep.
func (c *shownCert) keep(ctx context.Context, logger *slog.Logger) {
	if c == nil {
		return
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(lookAtCert)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			c.refused = certStamp{}
			c.reload(true, logger)
		case <-tick.C:
			c.reload(false, logger)
		}
	}
}

// reload loads the pair if its files changed, or always. It complains of the same files once.
func (c *shownCert) reload(always bool, logger *slog.Logger) {
	stamp, err := c.stamp()
	if err == nil && stamp == c.loaded && !always {
		return
	}
	if err = c.load(time.Now()); err == nil {
		logger.Info("scanners see a new certificate", "file", c.certFile, "until", c.ends())
		return
	}
	if stamp != c.refused || always {
		c.refused = stamp
		logger.Error("scanners see the certificate of before", "err", err, "until", c.ends())
	}
}

// gauge shows when the certificate that is shown ends.
func (c *shownCert) gauge(set *metrics.Set) {
	if c != nil {
		set.NewGauge("scanedge_scan_certificate_expires_seconds", func() float64 { return float64(c.ends().Unix()) })
	}
}

// ends is when the certificate that is shown ends.
func (c *shownCert) ends() time.Time { return c.now.Load().Leaf.NotAfter }

// server is how scanners are answered over TLS: as own says, but for the certificate if there is one to show.
func (c *shownCert) server(own *tls.Config) *tls.Config {
	if c == nil {
		return own
	}
	own = own.Clone()
	own.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }
	return own
}
