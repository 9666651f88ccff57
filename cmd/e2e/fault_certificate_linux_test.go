package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// An operator's certificate is replaced twenty times under scanners that forgive nothing: none loses a scan, each replacement shows, and a
// pair that does not fit shows nothing.
func TestFaultCertificateReload(t *testing.T) {
	const rounds = 20
	pair := newPairs(t)
	pair.write(1)
	o := startOrigin(t, releaseBin, "--issuers", "gz")
	edge := startEdges(t, 1, releaseBin, o, "--tls-cert", pair.certFile, "--tls-key", pair.keyFile)[0]
	r := o.mustPush(t, "gz", "", []byte("subject,status\ng,green\n"))
	awaitOffset(t, []*node{edge}, "gz", r.Offset)
	addr := strings.TrimPrefix(edge.at.ScanTLS, "https://")

	load := &gates{stop: make(chan struct{})}
	for i := range 6 {
		s := strict{addr: addr, key: o.scannerKey, tls: pair.trusted(), pause: time.Millisecond, apart: i >= 3,
			scans: &load.scans, conns: &load.conns, goodbyes: &load.goodbyes, lost: &load.lost}
		s.build("gz:g")
		load.running.Go(func() { s.run(load.stop) })
	}
	t.Cleanup(load.end)

	for serial := int64(2); serial <= rounds+1; serial++ {
		pair.write(serial)
		if serial%2 == 0 {
			edge.signal(syscall.SIGHUP) // else the edge finds it by itself
		}
		eventually(t, "the new certificate is shown", func() bool { return pair.shown(addr) == serial })
	}
	if err := os.WriteFile(pair.keyFile, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	edge.signal(syscall.SIGHUP)
	eventually(t, "the log says that the pair is no good", func() bool { return strings.Contains(string(edge.log()), "certificate of before") })
	if got := pair.shown(addr); got != rounds+1 {
		t.Errorf("certificate %d is shown after a pair that is no good", got)
	}
	m, err := fleet.ReadMetrics(t.Context(), edge.at.Admin)
	if ends := m["scanedge_scan_certificate_expires_seconds"]; err != nil || int64(ends) != pair.ends.Unix() {
		t.Errorf("the metric says that it ends at %.0f, and it is %d: %v", ends, pair.ends.Unix(), err)
	}
	load.end()
	load.mustHaveLostNothing(t)
}

// pairs makes certificates that one CA signs, with serial numbers to tell them by.
type pairs struct {
	t                 *testing.T
	certFile, keyFile string
	ca                *x509.Certificate
	key               *ecdsa.PrivateKey
	ends              time.Time
}

func newPairs(t *testing.T) *pairs {
	dir := t.TempDir()
	p := &pairs{t: t, certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"), ends: time.Now().Add(time.Hour)}
	p.key = p.newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a public CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: p.ends, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pairs) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	return key
}

// write replaces the files by another certificate and its key, one after the other, as tools do.
func (p *pairs) write(serial int64) {
	p.t.Helper()
	key := p.newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "edge"}, NotBefore: p.ca.NotBefore, NotAfter: p.ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, key.Public(), p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{p.certFile: {Type: "CERTIFICATE", Bytes: der}, p.keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *pairs) trusted() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca)
	return trusting(pool)
}

// shown is the serial number of the certificate that a server shows to who connects now.
func (p *pairs) shown(addr string) int64 {
	c, err := tls.Dial("tcp", addr, p.trusted())
	if err != nil {
		p.t.Error(err)
		return 0
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}
