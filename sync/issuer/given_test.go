package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func keyPEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Of secrets that are given only the path is kept; without the files there is no start, and above all no new issuer.
func TestGivenSecrets(t *testing.T) {
	dir := t.TempDir()
	path, g := filepath.Join(dir, "a.json"), Given{filepath.Join(dir, "seed"), filepath.Join(dir, "key.pem")}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const seed = "a0112233445566778899aabbccddeeff"
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	write(g.SeedFile, []byte(seed+"\n"))
	write(g.KeyFile, keyPEM(t, key))
	s, err := Create(path, "a", DefaultPolicy(), g)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(Policy{MaxStaleSeconds: 7}, Rekey{}); err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreate(path, "a", time.Hour)
	if err != nil || again.Given() != g || again.Policy().MaxStaleSeconds != 7 {
		t.Fatalf("%+v, %v", again, err)
	}
	for _, s := range []*Secret{s, again} {
		if text, _ := s.Seed.MarshalText(); string(text) != seed || !s.Key.Equal(key) {
			t.Error("seed and key are not those that were given")
		}
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{[]byte(seed), key.Seed(), []byte(hex.EncodeToString(key.Seed())), base64Of(t, key.Seed())} {
		if bytes.Contains(body, secret) {
			t.Errorf("the issuer's file holds %s", secret)
		}
	}

	for name, c := range map[string]struct {
		file string
		body []byte // nil: it is not there
		want string
	}{
		"no seed":        {g.SeedFile, nil, "no such file"},
		"a short seed":   {g.SeedFile, []byte(seed[1:]), "32 hex digits"},
		"no key":         {g.KeyFile, nil, "no such file"},
		"no PEM":         {g.KeyFile, []byte("secret stuff"), "no PEM block"},
		"no PKCS 8":      {g.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret stuff")}), "holds no key"},
		"another's kind": {g.KeyFile, keyPEM(t, ecdsaKey(t)), "not one of Ed25519"},
	} {
		before, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(c.file); err != nil {
			t.Fatal(err)
		}
		if c.body != nil {
			write(c.file, c.body)
		}
		_, loaded := LoadOrCreate(path, "a", time.Hour)
		_, created := Create(filepath.Join(dir, "b.json"), "b", DefaultPolicy(), g)
		for _, err := range []error{loaded, created} {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) ||
				strings.Contains(err.Error(), "backup") || strings.Contains(err.Error(), "secret stuff") || strings.Contains(err.Error(), seed[1:]) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if now, _ := os.ReadFile(path); !bytes.Equal(now, body) {
			t.Fatalf("%s: the issuer was made anew", name)
		}
		_ = os.Remove(c.file)
		write(c.file, before)
	}
	for path, good := range map[string]bool{"": true, "/run/secrets/seed": true, "seed": false, "../seed": false} {
		if err := (Given{SeedFile: path}).Check(); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func ecdsaKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// base64Of is b as JSON has it, without the quotes.
func base64Of(t *testing.T, b []byte) []byte {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return text[1 : len(text)-1]
}
