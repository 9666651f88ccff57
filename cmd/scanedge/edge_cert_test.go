package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemPair is a self-signed certificate and its key.
func pemPair(t *testing.T, name string, from, until time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
		DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// A certificate's files may change in any order and hold anything: what is shown is always the newest whole pair that is in force, and of
// each that is not the log says so once.
func TestShownCertificate(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	clock := now // of the files, so that each write shows
	write := func(name string, b []byte) {
		t.Helper()
		clock = clock.Add(time.Second)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, clock, clock); err != nil {
			t.Fatal(err)
		}
	}
	pair := func(name string, from, until time.Duration) (cert, key []byte) {
		return pemPair(t, name, now.Add(from), now.Add(until))
	}
	if _, err := loadCert(certFile, keyFile); err == nil || !strings.Contains(err.Error(), certFile) {
		t.Errorf("no files: %v", err)
	}
	cert1, key1 := pair("one", -time.Hour, time.Hour)
	write(certFile, cert1)
	write(keyFile, key1)
	c, err := loadCert(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}

	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	shows := func(step, name string, logged int) {
		t.Helper()
		log.Reset()
		for range 3 {
			c.reload(false, logger)
		}
		got, err := c.server(new(tls.Config)).GetCertificate(nil)
		if err != nil || got.Leaf.Subject.CommonName != name || strings.Count(log.String(), "\n") != logged {
			t.Errorf("%s: shows %q, %v, and says %q", step, got.Leaf.Subject.CommonName, err, log.String())
		}
	}
	shows("nothing changed", "one", 0)
	cert2, key2 := pair("two", -time.Hour, 2*time.Hour)
	write(certFile, cert2)
	shows("half of the pair changed", "one", 1)
	write(keyFile, key2)
	shows("all of it", "two", 1)
	write(keyFile, nil)
	shows("an empty key", "two", 1)
	write(certFile, []byte("-----BEGIN CERTIFICATE-----\nnonsense\n"))
	shows("nonsense", "two", 1)
	cert3, key3 := pair("three", -2*time.Hour, -time.Hour)
	write(certFile, cert3)
	write(keyFile, key3)
	shows("one that has ended", "two", 1)
	cert4, key4 := pair("four", time.Hour, 2*time.Hour)
	write(certFile, cert4)
	write(keyFile, key4)
	shows("one that has not begun", "two", 1)
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	shows("no file", "two", 1)
	cert5, key5 := pair("five", -time.Hour, 3*time.Hour)
	write(certFile, cert5)
	write(keyFile, key5)
	shows("a good one", "five", 1)
	if !c.ends().Equal(now.Add(3 * time.Hour).Truncate(time.Second).UTC()) {
		t.Errorf("ends %v", c.ends())
	}

	log.Reset()
	c.reload(true, logger)
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("told to, it says %q", log.String())
	}
}
