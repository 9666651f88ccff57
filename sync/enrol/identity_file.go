package enrol

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scanedge/scanedge/sync/durable"
)

// The files of an identity, in the order in which they are written. Only the last one makes it one.
const (
	keyFile    = "key.pem"
	caFile     = "ca.pem"
	originFile = "origin.json"
	certFile   = "cert.pem"
)

// whereabouts is the form of origin.json.
type whereabouts struct {
	Version int    `json:"version"`
	URL     string `json:"url"`
	Token   string `json:"token,omitempty"` // hash of the secret that it was joined by
}

const identityVersion = 1

// Load reads the identity from a folder. If there is none, or not all of it yet, the error is [fs.ErrNotExist].
func Load(dir string) (*Identity, error) {
	if err := settle(dir); err != nil {
		return nil, fmt.Errorf("end the replacement of this edge's identity in %s: %w", dir, err)
	}
	id, err := load(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read this edge's identity from %s: %w; remove the folder, and join with a new token", dir, err)
	}
	return id, err
}

func load(dir string) (*Identity, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, certFile))
	if err != nil {
		return nil, err
	}
	id := &Identity{dir: dir}
	keyPEM, kerr := os.ReadFile(filepath.Join(dir, keyFile))
	caPEM, caerr := os.ReadFile(filepath.Join(dir, caFile))
	at, aterr := os.ReadFile(filepath.Join(dir, originFile))
	if err := errors.Join(kerr, caerr, aterr); err != nil {
		return nil, fmt.Errorf("it is not whole: %v", err) // not fs.ErrNotExist: the certificate is there
	}
	var w whereabouts
	if err := json.Unmarshal(at, &w); err != nil {
		return nil, fmt.Errorf("%s: %w", originFile, err)
	}
	if w.Version != identityVersion {
		return nil, fmt.Errorf("the version of %s is %d, this scanedge knows %d", originFile, w.Version, identityVersion)
	}
	if id.ca, err = parseCert(caPEM); err != nil {
		return nil, fmt.Errorf("%s: %w", caFile, err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	id.origin, id.token = w.URL, w.Token
	return id, id.use(&cert)
}

// use takes a certificate, if it is one of the CA's.
func (id *Identity) use(cert *tls.Certificate) error {
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{
		Roots: id.pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: cert.Leaf.NotAfter, // its end is judged elsewhere
	}); err != nil {
		return fmt.Errorf("the certificate is not of this origin's authority: %w", err)
	}
	id.cert.Store(cert)
	return nil
}

// save writes an identity, of which the key is there already, if it is one.
func save(dir string, t Token, key *ecdsa.PrivateKey, a Answer) error {
	ca, caerr := parseCert([]byte(a.CA))
	cert, err := parseCert([]byte(a.Certificate))
	if err := errors.Join(caerr, err); err != nil {
		return fmt.Errorf("read the origin's answer: %w", err)
	}
	if sha256.Sum256(ca.Raw) != t.CA || cert.CheckSignatureFrom(ca) != nil || !key.PublicKey.Equal(cert.PublicKey) {
		return errors.New("the origin's answer is no certificate for this edge's key")
	}
	if err := durable.WriteFile(filepath.Join(dir, caFile), []byte(a.CA)); err != nil {
		return err
	}
	if err := durable.WriteJSON(filepath.Join(dir, originFile), whereabouts{identityVersion, t.URL, t.hash()}); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, certFile), []byte(a.Certificate))
}
