package enrol

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// caLife is how long a CA is good for.
const caLife = 10 * 365 * 24 * time.Hour

// CA is an origin's certificate authority. Who reads its key can pass for the origin and for any edge. It is safe for concurrent use.
type CA struct {
	Life time.Duration // of the certificates that it issues

	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	path string // of the certificate
}

// OpenCA reads the CA from a folder, or makes one there: key.pem, mode 0600, and then cert.pem. A start that was killed between
// the two goes on with the key.
func OpenCA(dir string) (*CA, error) {
	ca := &CA{Life: Life, path: filepath.Join(dir, "cert.pem")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the certificate authority: %w", err)
	}
	certPEM, err := os.ReadFile(ca.path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil || fresh {
		ca.key, err = loadKey(filepath.Join(dir, "key.pem"), fresh)
	}
	if err == nil && fresh {
		certPEM, err = ca.create()
	}
	if err == nil {
		ca.cert, err = parseCert(certPEM)
	}
	if err == nil && !ca.key.PublicKey.Equal(ca.cert.PublicKey) {
		err = errors.New("the key is not that of the certificate")
	}
	if err == nil && !ca.cert.IsCA {
		err = errors.New("the certificate is not that of an authority")
	}
	if err != nil {
		return nil, fmt.Errorf("open the certificate authority in %s: %w; restore the folder from a backup, or remove it and edges.json "+
			"to begin anew: every edge must then be enrolled again", dir, err)
	}
	return ca, nil
}

// create issues the CA's own certificate.
func (ca *CA) create() ([]byte, error) {
	now := time.Now()
	id, err := KeyHash(ca.key.Public())
	if err != nil {
		return nil, err
	}
	own := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "scanedge CA " + id[:16]},
		NotBefore:             now.Add(-aDay),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, own, own, ca.key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	return encodeCert(der), durable.WriteFile(ca.path, encodeCert(der))
}

// aDay before now is when certificates of the CA and the origin begin, for edges whose clocks are behind.
const aDay = 24 * time.Hour

// issue issues a certificate that is good for Life. A hundredth of it lies before now, for clocks that are behind.
func (ca *CA) issue(cert *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	now := time.Now()
	if cert.NotBefore.IsZero() {
		cert.NotBefore = now.Add(-ca.Life / 100)
	}
	cert.NotAfter = now.Add(ca.Life)
	if cert.NotAfter.After(ca.cert.NotAfter) {
		return nil, fmt.Errorf("the certificate authority ends on %s, before what it is to issue; make a new one: remove %s and edges.json, "+
			"and enrol every edge again", ca.cert.NotAfter.Format(time.DateOnly), filepath.Dir(ca.path))
	}
	cert.KeyUsage, cert.BasicConstraintsValid = x509.KeyUsageDigitalSignature, true
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.cert, key, ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Path is where the CA's certificate lies, which others need to verify what it issued.
func (ca *CA) Path() string { return ca.path }

// Fingerprint is what tokens name the CA by.
func (ca *CA) Fingerprint() Fingerprint { return sha256.Sum256(ca.cert.Raw) }

// PEM is the CA's certificate.
func (ca *CA) PEM() []byte { return encodeCert(ca.cert.Raw) }

// Pool is the CA as the only one to be believed.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func parseCert(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("there is no certificate where one should be")
	}
	return x509.ParseCertificate(block.Bytes)
}

// loadKey reads a private key, or makes it if there is none and make allows.
func loadKey(path string, make bool) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && make {
		return createKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no private key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the private key of %s: %w", path, err)
	}
	if k, ok := key.(*ecdsa.PrivateKey); ok {
		return k, nil
	}
	return nil, fmt.Errorf("%s holds no ECDSA key", path)
}

func createKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
