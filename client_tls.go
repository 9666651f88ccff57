package scanedge

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// OriginName is the name that an origin's certificate proves, wherever the origin is. No edge's certificate names it.
const OriginName = "scanedge-origin"

// TrustCA makes the client believe, at an https address, an origin whose certificate one of these authorities issued for
// [OriginName], and nobody else. It is to be called before the first request.
func (o *Origin) TrustCA(roots *x509.CertPool) { o.server.trust(roots, OriginName) }

// TrustCA makes the client believe, at an https address, an origin whose certificate one of these authorities issued for
// [OriginName], and nobody else. It is to be called before the first request.
func (o *Operator) TrustCA(roots *x509.CertPool) { o.server.trust(roots, OriginName) }

// TrustCA makes the client believe, at an https address, an edge whose certificate one of these authorities issued for the host that is
// asked, and nobody else. It is to be called before the first request.
func (e *Edge) TrustCA(roots *x509.CertPool) { e.server.trust(roots, "") }

// trust gives the client connections of its own. Without a name it is the host's that is verified.
func (s *server) trust(roots *x509.CertPool, name string) {
	t := newTransport(time.Minute)
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: name}
	s.http.Transport = t
}
