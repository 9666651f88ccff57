package enrol

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestACAIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	ca, err := OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "key.pem": 0o600, "cert.pem": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	again, err := OpenCA(dir)
	if err != nil || again.Fingerprint() != ca.Fingerprint() || ca.Path() != filepath.Join(dir, "cert.pem") {
		t.Errorf("another one at the second start: %v", err)
	}
	c := ca.cert
	if !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || c.KeyUsage != x509.KeyUsageCertSign || time.Until(c.NotAfter) < 9*365*24*time.Hour {
		t.Errorf("%+v", c)
	}
	// A start that was killed after the key: the next one goes on with it.
	key, _ := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err := os.Remove(ca.Path()); err != nil {
		t.Fatal(err)
	}
	if again, err = OpenCA(dir); err != nil || !again.key.Equal(ca.key) {
		t.Errorf("after a start that was killed: %v", err)
	}
	if now, _ := os.ReadFile(filepath.Join(dir, "key.pem")); !bytes.Equal(now, key) {
		t.Error("the key was made anew")
	}
}

func TestACAThatIsNotWhole(t *testing.T) {
	other := filepath.Join(t.TempDir(), "ca")
	if _, err := OpenCA(other); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(dir string) error{
		"no key":             func(dir string) error { return os.Remove(filepath.Join(dir, "key.pem")) },
		"half a key":         func(dir string) error { return os.Truncate(filepath.Join(dir, "key.pem"), 60) },
		"half a certificate": func(dir string) error { return os.Truncate(filepath.Join(dir, "cert.pem"), 60) },
		"another's key": func(dir string) error {
			b, err := os.ReadFile(filepath.Join(other, "key.pem"))
			return errors.Join(err, os.WriteFile(filepath.Join(dir, "key.pem"), b, 0o600))
		},
		"no authority": func(dir string) error {
			ca, err := OpenCA(dir)
			if err != nil {
				return err
			}
			leaf, err := ca.issue(&x509.Certificate{}, ca.key.Public())
			return errors.Join(err, os.WriteFile(filepath.Join(dir, "cert.pem"), encodeCert(leaf.Raw), 0o600))
		},
	} {
		dir := filepath.Join(t.TempDir(), "ca")
		if _, err := OpenCA(dir); err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenCA(dir); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The origin's own certificate is replaced when two thirds of its life are over, names what it is asked to, and no edge's does.
func TestTheOriginsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := OpenCA(filepath.Join(t.TempDir(), "ca"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := ca.NewServer([]string{"origin.example", "192.0.2.1", "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		first, _ := s.certificate(nil)
		for _, host := range []string{OriginName, "origin.example", "192.0.2.1", "localhost", "127.0.0.1", "::1"} {
			if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
		if slices.Contains(first.Leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
			t.Error("the origin's certificate is good for a client")
		}
		time.Sleep(Life / 2)
		if again, _ := s.certificate(nil); again != first {
			t.Error("renewed after half its life")
		}
		time.Sleep(Life / 4)
		if again, _ := s.certificate(nil); again == first || !again.Leaf.NotAfter.After(first.Leaf.NotAfter) {
			t.Error("not renewed after three quarters of its life")
		}
	})
}

// What a CA can't vouch for any more, it does not issue.
func TestACANearItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := OpenCA(filepath.Join(t.TempDir(), "ca"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(caLife - Life/2)
		if _, err := ca.NewServer(nil); err == nil || !strings.Contains(err.Error(), "the certificate authority ends on") {
			t.Error(err)
		}
	})
}
