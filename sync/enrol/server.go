package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"sync"
	"time"
)

// Server is the origin's own certificate, made anew at each start and whenever two thirds of its life are over. It is safe for
// concurrent use.
type Server struct {
	ca    *CA
	hosts []string
	key   *ecdsa.PrivateKey

	mu   sync.Mutex // guards
	cert *tls.Certificate
}

// NewServer makes the origin's certificate, which names [OriginName], this machine's loopback and the hosts.
func (ca *CA) NewServer(hosts []string) (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &Server{ca: ca, hosts: slices.Concat([]string{OriginName}, hosts, loopback), key: key}
	_, err = s.certificate(nil)
	return s, err
}

// TLS is what the origin listens with: a caller may bring a certificate, which must be one of this CA's and in its days. Whose it is,
// and whether it still opens anything, is for the [Registry] to say at each request.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		GetCertificate: s.certificate, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: s.ca.Pool(),
	}
}

func (s *Server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cert != nil && time.Now().Before(renewalAt(s.cert.Leaf)) {
		return s.cert, nil
	}
	begin := time.Now().Add(-min(aDay, s.ca.Life))
	cert := &x509.Certificate{
		Subject: pkix.Name{CommonName: OriginName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: begin,
	}
	addHosts(cert, s.hosts...)
	leaf, err := s.ca.issue(cert, s.key.Public())
	if err != nil {
		return nil, err
	}
	// The CA goes along, for who knows no more of it than its fingerprint.
	s.cert = &tls.Certificate{Certificate: [][]byte{leaf.Raw, s.ca.cert.Raw}, PrivateKey: s.key, Leaf: leaf}
	return s.cert, nil
}
