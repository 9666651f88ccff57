package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/limit"
	"github.com/scanedge/scanedge/sync/access"
)

// authority issues certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	var a authority
	made := a.issue(t, "CA", 0, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue makes a certificate; of an authority without its own it is signed by itself.
func (a authority) issue(t *testing.T, name string, use x509.ExtKeyUsage, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"edge"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	for _, f := range change {
		f(c)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// A client certificate of the scanners' CA stands for a key, with limits by its name; without one all is as it was; with a wrong one the
// handshake fails.
func TestScannersByCertificate(t *testing.T) {
	fleet, scanners, strangers := newAuthority(t), newAuthority(t), newAuthority(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: scanners.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "limits.yaml")
	if err := os.WriteFile(file, []byte("keys: {rate: 0.01, burst: 3}"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := limitFlags{file: file, header: forwardedFor, scannerCA: ca}
	if err := f.read(); err != nil {
		t.Fatal(err)
	}
	set := metrics.NewSet()
	server, keys := edge.New(set), new(access.Uses)
	f.made.apply(server, keys, set)
	server.Hold([]string{"demo-a"})
	server.Admit(func(key []byte, _ time.Time) (limit.Caller, bool) { return limit.Caller{}, string(key) == "scan-key" })
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front, served := server.HTTP(), make(chan error)
	own := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{fleet.issue(t, "edge", x509.ExtKeyUsageServerAuth)}}
	go func() { served <- front.Serve(tls.NewListener(at, f.made.askForCertificates(own))) }()
	t.Cleanup(func() {
		if err := front.Shutdown(); err != nil || <-served != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(fleet.cert)
	ask := func(method, key string, brings ...tls.Certificate) (status int, word string, err error) {
		trust := &tls.Config{RootCAs: roots, ServerName: "edge", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &append(brings, tls.Certificate{})[0], nil // also one that the server did not name the CA of
		}}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}
		url := "https://" + at.Addr().String() + "/v1/scan"
		if method == "GET" {
			url += "/demo-a:x"
		}
		req, _ := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(strings.Repeat("demo-a:x", len(method)-3)))
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		_, word, _ = strings.Cut(string(body), `"type":"`)
		word, _, _ = strings.Cut(word, `"`)
		return res.StatusCode, word, err
	}
	gate := scanners.issue(t, "gate", x509.ExtKeyUsageClientAuth)
	for _, c := range []struct {
		what, method, key string
		brings            []tls.Certificate
		want              string
	}{
		{"nothing", "GET", "", nil, "no-key"},
		{"a key", "GET", "scan-key", nil, "not-ready"},
		{"a certificate", "GET", "", []tls.Certificate{gate}, "not-ready"},
		{"a certificate, many codes", "POST", "", []tls.Certificate{gate}, ""},
		{"another of the same name", "GET", "", []tls.Certificate{scanners.issue(t, "gate", x509.ExtKeyUsageClientAuth)}, "not-ready"},
		{"too many of one name", "GET", "", []tls.Certificate{gate}, "too-fast"},
		{"another name", "GET", "", []tls.Certificate{scanners.issue(t, "door", x509.ExtKeyUsageClientAuth)}, "not-ready"},
		{"a certificate and a key that is not known", "GET", "revoked", []tls.Certificate{gate}, "no-key"},
		{"a certificate and a key", "GET", "scan-key", []tls.Certificate{gate}, "not-ready"},
	} {
		if status, word, err := ask(c.method, c.key, c.brings...); err != nil || word != c.want || status == 200 != (word == "") {
			t.Errorf("%s: %d %s, %v, not %s", c.what, status, word, err, c.want)
		}
	}
	for what, wrong := range map[string]tls.Certificate{
		"of another CA": strangers.issue(t, "gate", x509.ExtKeyUsageClientAuth), "of the fleet's": fleet.issue(t, "gate", x509.ExtKeyUsageClientAuth),
		"for servers": scanners.issue(t, "gate", x509.ExtKeyUsageServerAuth), "without a name": scanners.issue(t, "", x509.ExtKeyUsageClientAuth),
		"that is over": scanners.issue(t, "gate", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
	} {
		if status, word, err := ask("GET", "scan-key", wrong); err == nil || !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("one %s: %d %s, %v", what, status, word, err)
		}
	}
}
