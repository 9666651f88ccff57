// Package enrol is who is an edge: an origin's certificate authority, the edges that it enrolled, and an edge's own identity.
//
// An operator enrols a name and gets a one-time token, which says where the origin is and what its CA certificate hashes to. The new
// machine makes its own key, believes the one server whose certificate that CA issued for [OriginName], sends the token with a
// request for a certificate, and is an edge from then on. Every link between our own processes is TLS 1.3 with such certificates on
// both sides.
//
//   - ca.go: [CA], the authority's key and certificate; what it issues
//   - server.go: the origin's own certificate, which renews itself
//   - registry.go: [Registry], the edges by name, their keys and the tokens that wait: who may join, renew, ask
//   - registry_file.go: its file
//   - token.go: [Token], the one string that a new machine needs
//   - join.go: [Join], the way from a token to an identity
//   - rejoin.go: another identity in the place of one that there is
//   - identity.go: [Identity], what an edge is known by: TLS for its clients and servers
//   - identity_file.go: its folder
//   - renew.go: a certificate renewed while it is in use
//
// Invariants:
//   - A private key never leaves the machine that made it.
//   - An edge is known by its name and its key's hash together, and both must be what the registry holds at the moment of the
//     request: a certificate by itself opens nothing, so a revoked one need not be listed anywhere, and a name that is enrolled
//     anew does not revive the old key.
//   - What a certificate says is decided by the registry. Of a request for one only the key is taken.
//   - OriginName stands in the origin's own certificates alone: no edge can pass for the origin.
//   - A token works for one key, within [TokenLife]. To that key it gives a certificate as often as it asks: an answer may be lost.
//   - A file of secrets is mode 0600 and is the old or the new one, whole. The certificate is an identity's last file: it is there, or
//     there is none.
package enrol

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/scanedge/scanedge"
)

// OriginName is the DNS name in the origin's certificates, and in no other: edges and operators verify it, wherever the origin is.
const OriginName = scanedge.OriginName

// All stands in an edge's issuers for every issuer, also those made later.
const All = "*"

// TokenLife is how long a join token can be used.
const TokenLife = 15 * time.Minute

// Life is how long a certificate is good for. It is renewed when two thirds are over.
const Life = 7 * 24 * time.Hour

var (
	edgeName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// CheckName reports what is wrong with the name of an edge.
func CheckName(name string) error {
	if !edgeName.MatchString(name) || name == OriginName {
		return fmt.Errorf("%q is no name for an edge: it takes 1 to 32 of a-z, 0-9 and '-', and is not %q", name, OriginName)
	}
	return nil
}

// CheckHost reports what is wrong with a host that a certificate is to name: an IP address, or a DNS name in lower case.
func CheckHost(host string) error {
	if net.ParseIP(host) == nil && (len(host) > 253 || !hostName.MatchString(host)) || host == OriginName {
		return fmt.Errorf("%q is no host: it takes an IP address, or a DNS name in lower case other than %q", host, OriginName)
	}
	return nil
}

// KeyHash is what a public key is known by: the SHA-256 of its SubjectPublicKeyInfo, as 64 hex digits.
func KeyHash(key crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:]), nil
}

// hashOf is KeyHash of a certificate's key, which was parsed already.
func hashOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Fingerprint is the SHA-256 of a certificate, by which a token names a CA.
type Fingerprint [sha256.Size]byte

// renewalAt is when two thirds of a certificate's life are over.
func renewalAt(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}

// addHosts makes a certificate name hosts, each once.
func addHosts(cert *x509.Certificate, hosts ...string) {
	seen := map[string]bool{}
	for _, host := range hosts {
		if host = strings.ToLower(host); host == "" || seen[host] {
			continue
		}
		seen[host] = true
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
}

// loopback is where every certificate may be found, for what runs on one machine.
var loopback = []string{"localhost", "127.0.0.1", "::1"}
