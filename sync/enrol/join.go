package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/durable"
)

// Request is the body of POST /v1/join and, without a token, of POST /v1/edges/self/renew.
type Request struct {
	Token string `json:"token,omitempty"`
	CSR   string `json:"csr"` // request for a certificate, PKCS #10 in PEM
}

// Answer is what a [Request] is answered with.
type Answer struct {
	Name        string   `json:"name"`
	Certificate string   `json:"certificate"` // PEM
	CA          string   `json:"ca"`          // PEM
	Issuers     []string `json:"issuers"`
}

const (
	askWithin = 10 * time.Second
	maxAnswer = 1 << 20
)

// retryEvery is the pause before a join is tried again. Tests try oftener.
var retryEvery = time.Second

// errForeign is what a server is that can't show what the token speaks of.
var errForeign = errors.New("the server there is not the origin of this token; nothing was sent to it")

// Join makes an identity in a folder by a token: a key, which stays there, and a certificate for it. An origin that can't be
// reached is asked again until ctx ends; a refusal is final. After a kill at any moment it can be called again, for it goes on with the
// same key. A folder that holds an identity is left alone, with an error.
func Join(ctx context.Context, t Token, dir string, logger *slog.Logger) (*Identity, error) {
	id, err := join(ctx, t, dir, logger)
	if err != nil {
		return nil, fmt.Errorf("join the origin %s: %w", t.URL, err)
	}
	return id, nil
}

func join(ctx context.Context, t Token, dir string, logger *slog.Logger) (*Identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(dir, certFile)); err == nil {
		return nil, fmt.Errorf("there is an identity in %s already; remove the folder to join anew", dir)
	}
	if err := durable.RemoveLeftovers(dir); err != nil {
		return nil, err
	}
	key, err := loadKey(filepath.Join(dir, keyFile), true)
	if err != nil {
		return nil, err
	}
	csr, err := newRequest(key)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: believing(t.CA), DisableKeepAlives: true}}
	var a Answer
	for {
		err = post(ctx, client, t.URL+"/v1/join", Request{t.String(), csr}, &a)
		if err == nil || final(err) {
			break
		}
		logger.Warn("waiting for the origin to join", "err", err)
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
	if err == nil {
		err = save(dir, t, key, a)
	}
	if err != nil {
		return nil, err
	}
	return Load(dir)
}

// final reports whether to ask again would change nothing.
func final(err error) bool {
	var p *scanedge.Problem
	return errors.Is(err, errForeign) || errors.As(err, &p) && p.Status < 500
}

const requestBlock = "CERTIFICATE REQUEST"

// newRequest is a request for a certificate for a key. It asks for nothing else: what a certificate says is for the origin to decide.
func newRequest(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return string(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der})), err
}

// believing is TLS with the one server that shows a CA of that fingerprint and is its origin. It is checked before anything is sent.
func believing(ca Fingerprint) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: OriginName,
		InsecureSkipVerify: true, // of the roots of this machine, which know nothing of our CA: VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			for _, c := range s.PeerCertificates[1:] {
				if sha256.Sum256(c.Raw) != ca {
					continue
				}
				roots := x509.NewCertPool()
				roots.AddCert(c)
				if _, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: OriginName}); err != nil {
					return fmt.Errorf("%w: %w", errForeign, err)
				}
				return nil
			}
			return errForeign
		},
	}
}

// post makes one call. A refusal is a [*scanedge.Problem].
func post(ctx context.Context, client *http.Client, url string, body Request, into *Answer) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var p scanedge.Problem
		if json.Unmarshal(b, &p) == nil && p.Type != "" {
			return &p
		}
		return fmt.Errorf("it answers %s: %.300s", res.Status, b)
	}
	if err := json.Unmarshal(b, into); err != nil || into.Certificate == "" {
		return fmt.Errorf("its answer holds no certificate (%v)", err)
	}
	return nil
}
