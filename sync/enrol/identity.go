package enrol

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Identity is what an edge is known by: its key, the certificate for it, and the CA that it believes. It is safe for concurrent use; the
// certificate changes when it is renewed, and whatever handshakes next shows the new one.
type Identity struct {
	dir    string
	origin string
	token  string // hash of the secret that it was joined by
	ca     *x509.Certificate
	cert   atomic.Pointer[tls.Certificate]
}

// Name is the name that the edge was enrolled under.
func (id *Identity) Name() string { return id.cert.Load().Leaf.Subject.CommonName }

// Key is the hash of its key; see [KeyHash].
func (id *Identity) Key() string { return hashOf(id.cert.Load().Leaf) }

// Origin is the URL that the origin was joined at.
func (id *Identity) Origin() string { return id.origin }

// Ends is when the certificate ends, unless it is renewed before.
func (id *Identity) Ends() time.Time { return id.cert.Load().Leaf.NotAfter }

// CAPath is where the certificate of the origin's CA lies.
func (id *Identity) CAPath() string { return filepath.Join(id.dir, caFile) }

// Client is TLS for asking the origin, which is believed by [OriginName], wherever it is.
func (id *Identity) Client() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: id.pool(), ServerName: OriginName, GetClientCertificate: id.asClient}
}

// Server is TLS for answering scanners, who bring no certificate.
func (id *Identity) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.cert.Load(), nil },
	}
}

// ForPeers is TLS for answering other edges, and nobody else: known tells, at each handshake, whether a name goes with a key's hash
// (see [KeyHash]).
func (id *Identity) ForPeers(known func(name, key string) bool) *tls.Config {
	c := id.Server()
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, id.pool()
	c.VerifyConnection = func(s tls.ConnectionState) error { return checkPeer(s.PeerCertificates[0], known) }
	return c
}

// ToSources is TLS for fetching what the origin or other edges hold. An edge is believed by its name and key, wherever it is.
func (id *Identity) ToSources(known func(name, key string) bool) *tls.Config {
	c := id.Client()
	c.InsecureSkipVerify = true // of the host's name alone: VerifyConnection does the rest
	c.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: id.pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			return err
		}
		if leaf.VerifyHostname(OriginName) == nil {
			return nil
		}
		return checkPeer(leaf, known)
	}
	return c
}

var errNoPeer = errors.New("this is no edge that the origin names")

func checkPeer(cert *x509.Certificate, known func(name, key string) bool) error {
	if name := cert.Subject.CommonName; !known(name, hashOf(cert)) {
		return fmt.Errorf("%w: %q", errNoPeer, name)
	}
	return nil
}

func (id *Identity) asClient(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return id.cert.Load(), nil
}

func (id *Identity) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(id.ca)
	return pool
}
