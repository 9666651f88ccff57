package issuer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/scanedge/scanedge/cache"
)

// Given are the files that hold secrets which the issuer's own file does not, such as mounted ones: their paths alone are kept. They
// are read at each start and must not change.
type Given struct {
	SeedFile string `json:"seed_file,omitempty"`        // 32 hex digits, as of openssl rand -hex 16
	KeyFile  string `json:"signing_key_file,omitempty"` // PEM, as of openssl genpkey -algorithm ed25519
}

// errGiven marks what is wrong with a file that was given.
var errGiven = errors.New("that secret is kept nowhere else: mount or mend the file, then try again")

// IsGiven reports whether an error is about a file that was given.
func IsGiven(err error) bool { return errors.Is(err, errGiven) }

// Check reports paths that would mean another file to another process.
func (g Given) Check() error {
	for _, path := range []string{g.SeedFile, g.KeyFile} {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Errorf("the path %q of a secret is not absolute", path)
		}
	}
	return nil
}

// Exposed are those of the files that every user of the machine may read.
func (g Given) Exposed() (paths []string) {
	for _, path := range []string{g.SeedFile, g.KeyFile} {
		if info, err := os.Stat(path); path != "" && err == nil && info.Mode().Perm()&0o004 != 0 {
			paths = append(paths, path)
		}
	}
	return paths
}

// read puts what was given into seed and key. Its errors show nothing of the files, and are no fs.ErrNotExist, which would mean that
// there is no issuer.
func (g Given) read(seed *cache.Seed, key *ed25519.PrivateKey) error {
	if g.SeedFile != "" {
		b, err := os.ReadFile(g.SeedFile)
		if err == nil {
			err = seed.UnmarshalText(bytes.TrimSpace(b))
		}
		if err != nil {
			return fmt.Errorf("read the seed from %s: %v; %w", g.SeedFile, err, errGiven)
		}
	}
	if g.KeyFile != "" {
		b, err := os.ReadFile(g.KeyFile)
		if err == nil {
			*key, err = signingKey(b)
		}
		if err != nil {
			return fmt.Errorf("read the signing key from %s: %v; %w", g.KeyFile, err, errGiven)
		}
	}
	return nil
}

func signingKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("it holds no PEM block PRIVATE KEY")
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its PEM block holds no key")
	}
	key, ok := any.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("its key is not one of Ed25519")
	}
	return key, nil
}
