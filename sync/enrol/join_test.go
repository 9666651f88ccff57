package enrol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

func init() { retryEvery = 10 * time.Millisecond }

func TestJoin(t *testing.T) {
	a := newAuthority(t, Life)
	token := a.enrol("gate-3", "gz")
	dir := filepath.Join(t.TempDir(), "identity")
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	id, err := Join(t.Context(), token, dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []*Identity{id, again} {
		if id.Name() != "gate-3" || id.Origin() != a.url() || time.Until(id.Ends()) < Life-time.Minute || id.Key() != a.registry.Keys()["gate-3"] {
			t.Errorf("%s at %s until %v", id.Name(), id.Origin(), id.Ends())
		}
	}
	if b, err := os.ReadFile(id.CAPath()); err != nil || string(b) != string(a.ca.PEM()) {
		t.Error("the CA's certificate is another")
	}
	for name, want := range map[string]os.FileMode{"": 0o700, keyFile: 0o600, certFile: 0o600, caFile: 0o600, originFile: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	asked := a.asked.Load()
	if _, err := Join(t.Context(), token, dir, quiet); err == nil || !strings.Contains(err.Error(), "identity in "+dir) || a.asked.Load() != asked {
		t.Errorf("over an identity: %v", err)
	}
}

// The answer is lost: the same key asks again, and has its certificate.
func TestAJoinWhoseAnswerIsLost(t *testing.T) {
	a := newAuthority(t, Life)
	a.after = func() { a.after = nil; panic(http.ErrAbortHandler) }
	id := a.join("gate", All)
	if id.Name() != "gate" || a.asked.Load() != 2 {
		t.Errorf("%s after %d requests", id.Name(), a.asked.Load())
	}
}

// A machine that dies in the midst of joining has no identity, and joins with the same token, as the same key.
func TestAJoinThatIsKilled(t *testing.T) {
	a := newAuthority(t, Life)
	whole := a.join("model", All).dir
	for n := range 4 {
		dir := filepath.Join(t.TempDir(), "identity")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		key, err := createKey(filepath.Join(dir, keyFile))
		for _, name := range []string{caFile, originFile}[:max(0, n-1)] {
			b, rerr := os.ReadFile(filepath.Join(whole, name))
			err = errors.Join(err, rerr, os.WriteFile(filepath.Join(dir, name), b, 0o600))
		}
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, ".new-123"), []byte("half"), 0o600))
		if n == 0 {
			err = errors.Join(err, os.Remove(filepath.Join(dir, keyFile)))
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %d files: %v", n, err)
		}
		id, err := Join(t.Context(), a.enrol("gate-"+string(rune('a'+n)), All), dir, quiet)
		if err != nil {
			t.Fatalf("after %d files: %v", n, err)
		}
		if n > 0 && !key.PublicKey.Equal(id.cert.Load().Leaf.PublicKey) {
			t.Error("another key")
		}
		if all, _ := os.ReadDir(dir); len(all) != 4 {
			t.Errorf("after %d files: %v", n, all)
		}
	}
}

// Whichever file can't be written, there is no identity; when it can, the same token gives one.
func TestAJoinOntoAFullDisk(t *testing.T) {
	a := newAuthority(t, Life)
	for _, name := range []string{caFile, originFile} {
		dir := filepath.Join(t.TempDir(), "identity")
		obstacle := filepath.Join(dir, name, "in the way")
		if err := os.MkdirAll(obstacle, 0o700); err != nil {
			t.Fatal(err)
		}
		token := a.enrol("gate-"+strings.TrimRight(name, ".jsonpem"), All)
		if _, err := Join(t.Context(), token, dir, quiet); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Join(t.Context(), token, dir, quiet); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A refusal is final and says why; an origin that is not there is asked again.
func TestAJoinThatIsRefused(t *testing.T) {
	a := newAuthority(t, Life)
	token := a.enrol("gate", All)
	if _, err := Join(t.Context(), token, filepath.Join(t.TempDir(), "first"), quiet); err != nil {
		t.Fatal(err)
	}
	asked := a.asked.Load()
	_, err := Join(t.Context(), token, filepath.Join(t.TempDir(), "second"), quiet)
	var p *scanedge.Problem
	if !errors.As(err, &p) || p.Type != scanedge.BadJoinToken || !strings.Contains(err.Error(), a.url()) || a.asked.Load() != asked+1 {
		t.Errorf("%v after %d requests", err, a.asked.Load()-asked)
	}

	token = a.enrol("late", All)
	failures := 3
	a.before = func(rw http.ResponseWriter) {
		if failures--; failures >= 0 {
			scanedge.NewProblem(scanedge.NotReady, "").Write(rw)
			panic(http.ErrAbortHandler)
		}
	}
	if _, err := Join(t.Context(), token, filepath.Join(t.TempDir(), "late"), quiet); err != nil {
		t.Errorf("an origin that comes late: %v", err)
	}
	a.server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Join(ctx, a.enrol("never", All), filepath.Join(t.TempDir(), "never"), quiet); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an origin that never comes: %v", err)
	}
}

// A server that is not the token's origin is not sent the token, whatever it shows.
func TestJoinBelievesNobodyElse(t *testing.T) {
	a, other := newAuthority(t, Life), newAuthority(t, Life)
	token := a.enrol("gate", All)
	edge := a.join("edge", All).cert.Load()
	theirs, err := other.ca.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := theirs.certificate(nil)
	client, err := a.ca.issue(&x509.Certificate{DNSNames: []string{OriginName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		edge.Leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *tls.Certificate, chain ...[]byte) tls.Certificate {
		return tls.Certificate{Certificate: append([][]byte{c.Certificate[0]}, chain...), PrivateKey: c.PrivateKey}
	}
	for name, cert := range map[string]tls.Certificate{
		"another origin":                      *foreign,
		"another origin, our CA beside":       with(foreign, other.ca.cert.Raw, a.ca.cert.Raw),
		"another origin, our CA alone beside": with(foreign, a.ca.cert.Raw),
		"an edge":                             with(edge, a.ca.cert.Raw),
		"a client":                            {Certificate: [][]byte{client.Raw, a.ca.cert.Raw}, PrivateKey: edge.PrivateKey},
		"no CA":                               with(foreign),
		"our CA by itself":                    {Certificate: [][]byte{a.ca.cert.Raw}, PrivateKey: a.ca.key},
	} {
		asked := 0
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		server.Config.ErrorLog = a.server.Config.ErrorLog
		server.StartTLS()
		token.URL = server.URL
		if _, err := Join(t.Context(), token, filepath.Join(t.TempDir(), "identity"), quiet); !errors.Is(err, errForeign) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
		if asked != 0 {
			t.Errorf("%s was sent something", name)
		}
	}
}

// What an origin answers is checked before any of it is kept.
func TestAnswersThatAreNone(t *testing.T) {
	a, other := newAuthority(t, Life), newAuthority(t, Life)
	key, csr := asker(t)
	_, otherCSR := asker(t)
	token := a.enrol("gate", All)
	good, err := a.registry.Join(token, csr, "")
	if err != nil {
		t.Fatal(err)
	}
	ofAnother, err := a.registry.Join(a.enrol("gate-2", All), otherCSR, "")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.registry.Join(other.enrol("gate", All), csr, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, answer := range map[string]Answer{
		"nothing": {}, "no CA": {Certificate: good.Certificate}, "another CA": {Certificate: good.Certificate, CA: foreign.CA},
		"all of another CA": foreign, "a certificate of another CA": {Certificate: foreign.Certificate, CA: good.CA},
		"a certificate for another key": ofAnother,
	} {
		if err := save(dir, token, key, answer); err == nil {
			t.Errorf("%s is kept", name)
		}
		if all, _ := os.ReadDir(dir); len(all) != 0 {
			t.Errorf("%s leaves %v", name, all)
		}
	}
	if err := save(dir, token, key, good); err != nil {
		t.Error(err)
	}
}
