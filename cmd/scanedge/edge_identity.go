package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/enrol"
)

// identityDir is the folder, in an edge's data folder, of what it is known by.
const identityDir = "identity"

func identityOf(dir string) string { return filepath.Join(dir, identityDir) }

// checkEnrolled checks that there is an identity, or a token to get one with.
func checkEnrolled(f edgeFlags) error {
	if f.join != "" {
		if _, err := enrol.ParseToken(f.join); err != nil {
			return usageError("--join is no token: %w", err)
		}
		return nil
	}
	if _, err := enrol.Load(identityOf(f.dir)); errors.Is(err, fs.ErrNotExist) {
		return usageError("this edge is not enrolled. At the origin run scanedge edge enrol NAME --issuers ISSUER,…, " +
			"and start this edge with the --join TOKEN that it prints")
	}
	return nil
}

// rejoinWithin is how long an edge that could serve waits for an origin that is to make it anew.
const rejoinWithin = 10 * time.Second

// identify is the identity that this edge has, or the one that a token makes of it: a first one, or another in the place of known. A
// token that known was joined by, as it stays in a unit's file, does nothing. One that opens nothing leaves known as it is.
func identify(ctx context.Context, known *enrol.Identity, f edgeFlags, logger *slog.Logger) (*enrol.Identity, error) {
	over := known != nil && time.Now().After(known.Ends())
	token, err := enrol.ParseToken(f.join)
	if known != nil && (f.join == "" || err == nil && known.JoinedBy(token)) {
		if over {
			return nil, fmt.Errorf("the certificate of this edge, %s, ended on %s: it was not renewed in time, or this machine's clock is wrong. "+
				"Enrol it again with --replace, and start it with the new --join TOKEN", known.Name(), known.Ends().Format(time.DateTime))
		}
		if f.join != "" {
			logger.Info("this edge has joined before, the token is not used", "edge", known.Name())
		}
		return known, nil
	}
	if err != nil {
		return nil, err // it was checked with the flags
	}
	token.URL = strings.TrimRight(cmp.Or(f.origin, token.URL), "/")
	id, err := joinOrRejoin(ctx, known, token, f, over, logger)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, nil // it was told to stop
	case err != nil && known != nil && !over && !errors.Is(err, enrol.ErrOtherCA):
		logger.Warn("the token of --join made no new identity; going on with the one from before. Enrol the edge again if it is to be replaced, "+
			"else leave --join away", "edge", known.Name(), "err", err)
		return known, nil
	}
	return id, err
}

func joinOrRejoin(ctx context.Context, known *enrol.Identity, token enrol.Token, f edgeFlags, over bool, logger *slog.Logger) (*enrol.Identity, error) {
	if known == nil {
		return enrol.Join(ctx, token, identityOf(f.dir), logger)
	}
	if !over { // it can serve meanwhile
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rejoinWithin)
		defer cancel()
	}
	id, err := known.Rejoin(ctx, token, logger)
	if err == nil {
		logger.Info("joined anew: another identity has taken the place of the one before", "edge", id.Name(), "before", known.Name())
	}
	return id, err
}

// checkOrigin checks where an origin is that an edge asks.
func checkOrigin(base string) error {
	if err := checkURL("--origin", base); err != nil {
		return err
	}
	if !strings.HasPrefix(base, "https:") {
		return usageError("--origin is %q; edges ask the origin's TLS listener, at https://HOST:PORT", base)
	}
	return nil
}

// client is an HTTP client of an edge.
func client(c *tls.Config) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: c, TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout: 90 * time.Second, ReadBufferSize: 64 << 10,
	}}
}

// fellows are the keys of the edges that the origin names, by their names. Its zero value knows nobody.
type fellows struct {
	byName atomic.Pointer[map[string]string]
}

func (f *fellows) learn(keys map[string]string) { f.byName.Store(&keys) }

func (f *fellows) know(name, key string) bool {
	keys := f.byName.Load()
	return keys != nil && key != "" && (*keys)[name] == key
}

// forFellows answers other edges, each as far as its certificate says that it may read the issuer that a path names. A connection may be
// older than what the origin says now.
func forFellows(known func(name, key string) bool, h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/issuers/{issuer}/snapshots/{id}", func(rw http.ResponseWriter, req *http.Request) {
		cert := req.TLS.PeerCertificates[0]
		if key, err := enrol.KeyHash(cert.PublicKey); err != nil || !known(cert.Subject.CommonName, key) {
			scanedge.NewProblem(scanedge.NotEnrolled, "the origin does not name this edge, or not any more").Write(rw)
			return
		}
		if !enrol.MayRead(cert, req.PathValue("issuer")) {
			scanedge.NewProblem(scanedge.NotYourIssuer, "this edge is not enrolled for that issuer").Write(rw)
			return
		}
		h.ServeHTTP(rw, req)
	})
	mux.HandleFunc("/", notFound)
	return mux
}
