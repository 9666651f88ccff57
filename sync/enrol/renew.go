package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// Keep renews the certificate at the origin, whenever two thirds of its life are over, until ctx ends. Whoever took a TLS configuration
// from the identity shows the new one from its next handshake on; connections stay. What fails is tried again a hundredth of a life
// later.
func (id *Identity) Keep(ctx context.Context, origin string, logger *slog.Logger) {
	id.keep(ctx, origin, logger, time.Until)
}

// keep is Keep by a clock.
func (id *Identity) keep(ctx context.Context, origin string, logger *slog.Logger, until func(time.Time) time.Duration) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: id.Client(), DisableKeepAlives: true}}
	for pause := time.Duration(0); ; {
		leaf := id.cert.Load().Leaf
		select {
		case <-time.After(max(pause, until(renewalAt(leaf)))):
		case <-ctx.Done():
			return
		}
		pause = leaf.NotAfter.Sub(leaf.NotBefore) / 100
		switch err := id.renew(ctx, client, origin); {
		case ctx.Err() != nil:
		case err == nil && until(renewalAt(id.cert.Load().Leaf)) > 0:
			pause = 0
		case err == nil:
			logger.Warn("the certificate that the origin just issued is to be renewed already: this machine's clock is ahead of the origin's, set it right",
				"ends", id.Ends(), "in", pause)
		default:
			logger.Warn("this edge's certificate was not renewed; trying again", "ends", id.Ends(), "in", pause, "err", err)
		}
	}
}

// renew takes the new certificate into use also where the disk does not take it: the next start then has the old one.
func (id *Identity) renew(ctx context.Context, client *http.Client, origin string) error {
	now := id.cert.Load()
	key := now.PrivateKey.(*ecdsa.PrivateKey) // as loadKey made it
	csr, err := newRequest(key)
	if err != nil {
		return err
	}
	var a Answer
	if err := post(ctx, client, strings.TrimRight(origin, "/")+"/v1/edges/self/renew", Request{CSR: csr}, &a); err != nil {
		return fmt.Errorf("renew the certificate at the origin %s: %w", origin, err)
	}
	leaf, err := parseCert([]byte(a.Certificate))
	if err != nil {
		return err
	}
	if !key.PublicKey.Equal(leaf.PublicKey) || leaf.Subject.CommonName != id.Name() {
		return errors.New("the origin's answer is a certificate of another edge")
	}
	if err := id.use(&tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(id.dir, certFile), []byte(a.Certificate)); err != nil {
		return fmt.Errorf("keep the renewed certificate for the next start: %w", err)
	}
	return nil
}
