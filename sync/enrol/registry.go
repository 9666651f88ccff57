package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a registry refuses. Details are in the error that wraps it.
var (
	ErrExists   = errors.New("there is an edge of that name")
	ErrUnknown  = errors.New("there is no edge of that name")
	ErrToken    = errors.New("the join token does not open anything")
	ErrRequest  = errors.New("the request for a certificate is none that an edge makes")
	ErrOtherKey = errors.New("a certificate is renewed for the same key")
)

// Edge is an edge as its origin knows it.
type Edge struct {
	Name     string    `json:"name"`
	Issuers  []string  `json:"issuers"`         // that it may read; or [All] alone
	Hosts    []string  `json:"hosts,omitempty"` // that its certificates name besides its name, loopback and where it calls from
	Key      string    `json:"key,omitempty"`   // see [KeyHash]; "" until it has joined
	Enrolled time.Time `json:"enrolled"`
	Joined   time.Time `json:"joined,omitzero"`
	Revoked  time.Time `json:"revoked,omitzero"`
	CertEnds time.Time `json:"certificate_ends,omitzero"` // of the last that was issued
}

// May reports whether the edge may read an issuer.
func (e Edge) May(issuer string) bool {
	return slices.Contains(e.Issuers, All) || slices.Contains(e.Issuers, issuer)
}

// Registry is the edges that an origin enrolled, in a file. What a method reports as done is on disk. It is safe for concurrent use;
// questions never wait for a change.
type Registry struct {
	ca   *CA
	path string

	changing sync.Mutex // held while the file is written
	now      atomic.Pointer[state]
}

// Enrol enrols a name and returns the token that makes one machine that edge, and until when. at is the URL of the origin's TLS
// listener. An edge of that name, or a token for it that still works, is [ErrExists], unless replace says that it is to be revoked. A
// name that was revoked is free.
func (r *Registry) Enrol(name string, issuers, hosts []string, at string, replace bool) (Token, time.Time, error) {
	t := newToken(at, r.ca.Fingerprint())
	now := time.Now()
	until := now.Add(TokenLife)
	err := r.change(func(s *state) error {
		old, known := s.Edges[name]
		if known && !replace && old.Revoked.IsZero() && (!old.Joined.IsZero() || s.waiting(name, now)) {
			return fmt.Errorf("%w, %q: revoke it first, or replace it", ErrExists, name)
		}
		s.refuse(name, now)
		s.Edges[name] = Edge{Name: name, Issuers: issuers, Hosts: hosts, Enrolled: now}
		s.Tokens[t.hash()] = pending{Edge: name, Until: until}
		return nil
	})
	return t, until, err
}

// Join answers a token and a request for a certificate, in PEM, which came from a host. The same key may ask again while the token
// lives.
func (r *Registry) Join(t Token, csr, from string) (Answer, error) {
	if t.CA != r.ca.Fingerprint() {
		return Answer{}, fmt.Errorf("%w: it is of another origin, at %s", ErrToken, t.URL)
	}
	key, hash, err := checkRequest(csr)
	if err != nil {
		return Answer{}, err
	}
	now := time.Now()
	return r.answer(key, hash, from, func(s *state) (Edge, error) {
		p := s.Tokens[t.hash()]
		e, known := s.Edges[p.Edge]
		switch {
		case !known:
			return Edge{}, fmt.Errorf("%w: this origin does not know it, or no longer; enrol the edge again", ErrToken)
		case !now.Before(p.Until):
			return Edge{}, fmt.Errorf("%w: it expired at %s; enrol the edge again", ErrToken, p.Until.Format(time.RFC3339))
		case p.Key != "" && p.Key != hash:
			return Edge{}, fmt.Errorf("%w: another machine has used it; if that was not meant, revoke %q and enrol it again", ErrToken, p.Edge)
		case s.taken(p.Edge, hash):
			return Edge{}, fmt.Errorf("%w: its key was or is that of another edge; remove the identity folder, to have a new one made", ErrRequest)
		}
		p.Key = hash
		s.Tokens[t.hash()] = p
		if e.Joined.IsZero() {
			e.Joined = now
		}
		return e, nil
	})
}

// Renew answers the request of an edge for another certificate for the same key.
func (r *Registry) Renew(name, csr, from string) (Answer, error) {
	key, hash, err := checkRequest(csr)
	if err != nil {
		return Answer{}, err
	}
	return r.answer(key, hash, from, func(s *state) (Edge, error) {
		e, known := s.Edges[name]
		if !known || !e.Revoked.IsZero() || e.Key != hash {
			return Edge{}, fmt.Errorf("%w: this is not the one of edge %q", ErrOtherKey, name)
		}
		return e, nil
	})
}

// answer issues a certificate to the edge that is chosen, for a key that becomes or stays the edge's.
func (r *Registry) answer(key *ecdsa.PublicKey, hash, from string, choose func(*state) (Edge, error)) (a Answer, err error) {
	err = r.change(func(s *state) error {
		e, err := choose(s)
		if err != nil {
			return err
		}
		cert, err := r.ca.edge(e, key, from)
		if err != nil {
			return err
		}
		e.Key, e.CertEnds = hash, cert.NotAfter
		s.Edges[e.Name] = e
		a = Answer{e.Name, string(encodeCert(cert.Raw)), string(r.ca.PEM()), e.Issuers}
		return nil
	})
	return a, err
}

// Revoke refuses an edge from now on, and the token that may still wait for it. To revoke again is no error.
func (r *Registry) Revoke(name string) (e Edge, err error) {
	err = r.change(func(s *state) error {
		if _, known := s.Edges[name]; !known {
			return fmt.Errorf("%w, %q", ErrUnknown, name)
		}
		s.refuse(name, time.Now())
		e = s.Edges[name]
		return nil
	})
	return e, err
}

// Known returns the edge that a certificate, which was verified, is of at this moment.
func (r *Registry) Known(cert *x509.Certificate) (Edge, bool) {
	now := time.Now()
	e, known := r.now.Load().Edges[cert.Subject.CommonName]
	return e, known && e.Revoked.IsZero() && e.Key != "" && e.Key == hashOf(cert) && !now.Before(cert.NotBefore) && now.Before(cert.NotAfter)
}

// Edge returns an edge by its name.
func (r *Registry) Edge(name string) (Edge, bool) {
	e, known := r.now.Load().Edges[name]
	return e, known
}

// Edges returns all, by name, also those that were revoked.
func (r *Registry) Edges() []Edge {
	all := []Edge{}
	for _, e := range r.now.Load().Edges {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Edge) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Keys returns the key's hash of each edge that may ask: what edges know each other by.
func (r *Registry) Keys() map[string]string {
	keys := map[string]string{}
	for name, e := range r.now.Load().Edges {
		if e.Revoked.IsZero() && e.Key != "" {
			keys[name] = e.Key
		}
	}
	return keys
}

// checkRequest takes the key, which its sender proves to have, from a request for a certificate. All else in it is passed over.
func checkRequest(text string) (key *ecdsa.PublicKey, hash string, err error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != requestBlock {
		return nil, "", fmt.Errorf("%w: it holds no PEM block %q", ErrRequest, requestBlock)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrRequest, err)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, "", fmt.Errorf("%w: its key is not an ECDSA key on P-256", ErrRequest)
	}
	hash, err = KeyHash(key)
	return key, hash, err
}

// edge issues an edge's certificate. Its issuers stand there for other edges, of which it may fetch no more than from the origin.
func (ca *CA) edge(e Edge, key *ecdsa.PublicKey, from string) (*x509.Certificate, error) {
	cert := &x509.Certificate{
		Subject:     pkix.Name{CommonName: e.Name, OrganizationalUnit: e.Issuers},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	addHosts(cert, slices.Concat([]string{from}, e.Hosts, loopback)...)
	if CheckHost(e.Name) == nil { // "-" is an edge's name, but no host's
		addHosts(cert, e.Name)
	}
	return ca.issue(cert, key)
}

// MayRead reports whether an edge's certificate, which was verified, says that it may read an issuer.
func MayRead(cert *x509.Certificate, issuer string) bool {
	return Edge{Issuers: cert.Subject.OrganizationalUnit}.May(issuer)
}
