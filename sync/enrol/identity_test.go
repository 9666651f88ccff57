package enrol

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestIdentitiesThatAreNone(t *testing.T) {
	a, other := newAuthority(t, Life), newAuthority(t, Life)
	theirs := other.join("gate", All).dir
	for name, spoil := range map[string]func(dir string) error{
		"no key":       func(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) },
		"no CA":        func(dir string) error { return os.Remove(filepath.Join(dir, caFile)) },
		"no origin":    func(dir string) error { return os.Remove(filepath.Join(dir, originFile)) },
		"half a cert":  func(dir string) error { return os.Truncate(filepath.Join(dir, certFile), 99) },
		"half a key":   func(dir string) error { return os.Truncate(filepath.Join(dir, keyFile), 99) },
		"half a CA":    func(dir string) error { return os.Truncate(filepath.Join(dir, caFile), 99) },
		"half a place": func(dir string) error { return os.Truncate(filepath.Join(dir, originFile), 9) },
		"a newer place": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, originFile), []byte(`{"version":2}`), 0o600)
		},
		"another's key": func(dir string) error { return copyFile(theirs, dir, keyFile) },
		"another's CA":  func(dir string) error { return copyFile(theirs, dir, caFile) },
		"another's all but the CA": func(dir string) error {
			return errors.Join(copyFile(theirs, dir, keyFile), copyFile(theirs, dir, certFile))
		},
	} {
		id := a.join("gate-"+strings.ToLower(strings.NewReplacer(" ", "-", "'", "").Replace(name)), All)
		if err := spoil(id.dir); err != nil {
			t.Fatal(err)
		}
		_, err := Load(id.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), id.dir) || !strings.Contains(err.Error(), "join with a new token") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func copyFile(from, to, name string) error {
	b, err := os.ReadFile(filepath.Join(from, name))
	return errors.Join(err, os.WriteFile(filepath.Join(to, name), b, 0o600))
}

// Who believes whom, over real connections.
func TestWhoBelievesWhom(t *testing.T) {
	a, other := newAuthority(t, Life), newAuthority(t, Life)
	one, two, stranger := a.join("one", All), a.join("two", All), other.join("one", All)
	revoked := a.join("revoked", All)
	if _, err := a.registry.Revoke("revoked"); err != nil {
		t.Fatal(err)
	}
	known := func(name, key string) bool { return key != "" && a.registry.Keys()[name] == key }
	own, err := a.ca.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.ca.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	lenient := theirs.TLS()
	lenient.ClientAuth = tls.NoClientCert
	nobody := &tls.Config{RootCAs: one.pool(), ServerName: "localhost"}
	old := nobody.Clone()
	old.MaxVersion = tls.VersionTLS12
	posing := two.Server() // an edge that wants to pass for the origin, or for a peer
	for _, c := range []struct {
		name           string
		client, server *tls.Config
		good           bool
	}{
		{"an edge asks the origin", one.Client(), own.TLS(), true},
		{"a stranger asks the origin", stranger.Client(), own.TLS(), false},
		{"an edge asks an edge that passes for the origin", one.Client(), posing, false},
		{"an edge of another origin asks", withRoots(stranger.Client(), one), own.TLS(), false},
		{"a scanner asks an edge", nobody, one.Server(), true},
		{"a scanner of TLS 1.2 asks an edge", old, one.Server(), false},
		{"an edge asks a peer", one.ToSources(known), two.ForPeers(known), true},
		{"nobody asks a peer", nobody, two.ForPeers(known), false},
		{"a revoked edge asks a peer", revoked.ToSources(known), two.ForPeers(known), false},
		{"an edge asks a revoked peer", one.ToSources(known), revoked.Server(), false},
		{"a stranger asks a peer", withRoots(stranger.Client(), one), two.ForPeers(known), false},
		{"an edge asks a stranger", one.ToSources(known), stranger.Server(), false},
		{"an edge fetches from the origin", one.ToSources(known), own.TLS(), true},
		{"an edge fetches from another origin", one.ToSources(known), lenient, false},
		{"an edge asks another origin", one.Client(), lenient, false},
		{"an edge asks a peer with what it issued to itself", selfIssued(t, one), two.ForPeers(known), false},
		{"the origin's certificate asks a peer", withCert(nobody, own), two.ForPeers(known), false},
	} {
		if cerr, serr := shake(t, c.client, c.server); (cerr == nil && serr == nil) != c.good {
			t.Errorf("%s: %v and %v", c.name, cerr, serr)
		}
	}
}

// withRoots is another's TLS with the CA of an edge: the server is not what it fails at.
func withRoots(c *tls.Config, id *Identity) *tls.Config {
	c.InsecureSkipVerify, c.RootCAs = true, id.pool()
	return c
}

// selfIssued is an edge that asks with its own key, but says of itself that it may read everything.
func selfIssued(t *testing.T, id *Identity) *tls.Config {
	own := id.cert.Load()
	more := &x509.Certificate{Subject: pkix.Name{CommonName: id.Name(), OrganizationalUnit: []string{All}}, NotAfter: id.Ends()}
	der, err := x509.CreateCertificate(rand.Reader, more, own.Leaf, own.Leaf.PublicKey, own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	c := id.Client()
	c.InsecureSkipVerify = true
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own.PrivateKey}, nil
	}
	return c
}

func withCert(c *tls.Config, s *Server) *tls.Config {
	c = c.Clone()
	cert, _ := s.certificate(nil)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	return c
}

// A certificate is renewed while it is in use: the next handshake shows the new one, an open connection stays, the next start has it.
func TestACertificateRenewsItself(t *testing.T) {
	a := newAuthority(t, 3*time.Second)
	id := a.join("gate", "gz")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Listener = tls.NewListener(server.Listener, id.Server())
	server.Start()
	defer server.Close()
	shown := func() *x509.Certificate {
		c, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{RootCAs: id.pool(), ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	open, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{RootCAs: id.pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	first := shown()
	down := 2
	a.before = func(rw http.ResponseWriter) { // an origin that fails is asked again
		if down--; down >= 0 {
			panic(http.ErrAbortHandler)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { id.Keep(ctx, a.url()+"/", quiet); close(done) }()
	var seen []string
	for deadline := time.Now().Add(time.Minute); len(seen) < 3; time.Sleep(10 * time.Millisecond) {
		if cert := shown(); !slices.Contains(seen, cert.SerialNumber.String()) {
			if cert.Subject.CommonName != "gate" || !MayRead(cert, "gz") || hashOf(cert) != hashOf(first) || time.Now().After(cert.NotAfter) {
				t.Errorf("%v", cert.Subject)
			}
			seen = append(seen, cert.SerialNumber.String())
		}
		if time.Now().After(deadline) {
			t.Fatalf("shown were %v", seen)
		}
	}
	cancel()
	<-done
	if _, err := open.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Error(err)
	}
	if _, err := open.Read(make([]byte, 1)); err != nil {
		t.Errorf("the open connection is gone: %v", err)
	}
	again, err := Load(id.dir)
	if err != nil || !again.Ends().Equal(id.Ends()) || !again.Ends().After(first.NotAfter) {
		t.Errorf("the next start has another: %v", err)
	}
}
