package enrol

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asker is a machine's key, and its request for a certificate.
func asker(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := newRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

func openRegistry(t *testing.T) *Registry {
	t.Helper()
	dir := t.TempDir()
	ca, err := OpenCA(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRegistry(filepath.Join(dir, "edges.json"), ca)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const at = "https://origin.example:7020"

func mustEnrol(t *testing.T, r *Registry, name string) Token {
	t.Helper()
	token, _, err := r.Enrol(name, []string{"gz"}, nil, at, false)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func certOf(t *testing.T, a Answer) *x509.Certificate {
	t.Helper()
	cert, err := parseCert([]byte(a.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A token is for one key and a quarter of an hour. To that key it answers again, for an answer may be lost.
func TestATokenWorksForOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRegistry(t)
		token := mustEnrol(t, r, "gate")
		_, csr := asker(t)
		_, other := asker(t)
		first, err := r.Join(token, csr, "192.0.2.7")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(TokenLife - time.Second)
		again, err := r.Join(token, csr, "192.0.2.7")
		if err != nil || again.Certificate == first.Certificate {
			t.Errorf("the same key again: %v", err)
		}
		if _, err := r.Join(token, other, "192.0.2.7"); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "another machine has used it") {
			t.Errorf("another key: %v", err)
		}
		for _, a := range []Answer{first, again} {
			if e, ok := r.Known(certOf(t, a)); !ok || e.Name != "gate" || !slices.Equal(e.Issuers, []string{"gz"}) {
				t.Errorf("%+v, %v", e, ok)
			}
		}
		time.Sleep(time.Second)
		if _, err := r.Join(token, csr, ""); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "expired") {
			t.Errorf("after its time: %v", err)
		}
		time.Sleep(25 * time.Hour)
		mustEnrol(t, r, "another") // what is old is forgotten with the next change
		if _, err := r.Join(token, csr, ""); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "does not know it") {
			t.Errorf("long after: %v", err)
		}
	})
}

func TestTokensOfNobody(t *testing.T) {
	r, foreign := openRegistry(t), openRegistry(t)
	_, csr := asker(t)
	if _, err := r.Join(mustEnrol(t, foreign, "gate"), csr, ""); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "another origin") {
		t.Errorf("of another origin: %v", err)
	}
	made := newToken(at, r.ca.Fingerprint())
	if _, err := r.Join(made, csr, ""); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "does not know it") {
		t.Errorf("made up: %v", err)
	}
	if len(r.Edges()) != 0 {
		t.Error(r.Edges())
	}
}

// What a request for a certificate asks for is not what it gets.
func TestOnlyTheKeyIsTaken(t *testing.T) {
	r := openRegistry(t)
	token, _, err := r.Enrol("gate-3", []string{"gz", "sz"}, []string{"gate3.example", "198.51.100.3"}, at, false)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:         pkix.Name{CommonName: "other", OrganizationalUnit: []string{All}},
		DNSNames:        []string{OriginName, "origin.example", "*.example"},
		IPAddresses:     []net.IP{net.ParseIP("198.51.100.99")},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}, // CA: true
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Join(token, string(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der})), "192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	cert := certOf(t, a)
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	want := []string{"127.0.0.1", "192.0.2.7", "198.51.100.3", "::1", "gate-3", "gate3.example", "localhost"}
	if !slices.Equal(names, want) || cert.Subject.CommonName != "gate-3" || cert.IsCA || !MayRead(cert, "sz") || MayRead(cert, "bj") {
		t.Errorf("%v %v %v", names, cert.Subject, cert.IsCA)
	}
	if left := time.Until(cert.NotAfter); left > Life || left < Life-time.Minute {
		t.Errorf("it is good for %v", left)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: r.ca.Pool(), DNSName: OriginName}); err == nil {
		t.Error("an edge passes for the origin")
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	r := openRegistry(t)
	token := mustEnrol(t, r, "gate")
	_, good := asker(t)
	block, _ := pem.Decode([]byte(good))
	forged := slices.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	edDER, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ed)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p384DER, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, p384)
	for name, csr := range map[string]string{
		"nothing": "", "text": "hello", "another block": string(encodeCert(block.Bytes)),
		"no DER":       string(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: []byte("x")})),
		"forged":       string(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: forged})),
		"another kind": string(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: edDER})), "another curve": string(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: p384DER})),
	} {
		if _, err := r.Join(token, csr, ""); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Join(token, good, ""); err != nil {
		t.Errorf("the token is spent: %v", err)
	}
}

// Two edges can't have one name, nor one key two names; a name that was revoked is free for another key, and the old one stays shut out.
func TestOneNameOneEdge(t *testing.T) {
	r := openRegistry(t)
	enrol := func(name string, replace bool) (Token, error) {
		token, _, err := r.Enrol(name, []string{"gz"}, nil, at, replace)
		return token, err
	}
	lost := mustEnrol(t, r, "gate")
	if _, err := enrol("gate", false); !errors.Is(err, ErrExists) {
		t.Errorf("while a token waits: %v", err)
	}
	token, err := enrol("gate", true)
	if err != nil {
		t.Fatal(err)
	}
	_, csr := asker(t)
	if _, err := r.Join(lost, csr, ""); !errors.Is(err, ErrToken) {
		t.Errorf("the token that was replaced: %v", err)
	}
	old, err := r.Join(token, csr, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol("gate", false); !errors.Is(err, ErrExists) {
		t.Errorf("when it has joined: %v", err)
	}
	if _, err := r.Join(mustEnrol(t, r, "twin"), csr, ""); !errors.Is(err, ErrRequest) {
		t.Errorf("one key for two names: %v", err)
	}
	if e, err := r.Revoke("gate"); err != nil || e.Revoked.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
	refused := func(when string) {
		t.Helper()
		if _, ok := r.Known(certOf(t, old)); ok {
			t.Errorf("%s its certificate is known", when)
		}
		if _, err := r.Renew("gate", csr, ""); !errors.Is(err, ErrOtherKey) {
			t.Errorf("%s it is renewed: %v", when, err)
		}
		if _, err := r.Join(token, csr, ""); !errors.Is(err, ErrToken) {
			t.Errorf("%s its token works: %v", when, err)
		}
	}
	refused("revoked,")
	if len(r.Keys()) != 0 {
		t.Errorf("peers are told of %v", r.Keys())
	}
	token2, err := enrol("gate", false)
	if err != nil {
		t.Fatal(err)
	}
	refused("enrolled again,")
	if _, err := r.Join(token2, csr, ""); !errors.Is(err, ErrRequest) {
		t.Errorf("the old key is back: %v", err)
	}
	_, csr2 := asker(t)
	now, err := r.Join(token2, csr2, "")
	if err != nil {
		t.Fatal(err)
	}
	refused("with a new key,")
	if _, ok := r.Known(certOf(t, now)); !ok || len(r.Keys()) != 1 {
		t.Error("the new one is not known")
	}
	if _, err := r.Revoke("nobody"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := r.Revoke("gate"); err != nil {
		t.Error(err)
	}
	if _, err := r.Revoke("gate"); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestACertificateHasItsDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRegistry(t)
		_, csr := asker(t)
		a, err := r.Join(mustEnrol(t, r, "gate"), csr, "")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(Life - time.Second)
		b, err := r.Renew("gate", csr, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.Known(certOf(t, a)); !ok {
			t.Error("refused on its last day")
		}
		time.Sleep(time.Second)
		if _, ok := r.Known(certOf(t, a)); ok {
			t.Error("known after its end")
		}
		if _, ok := r.Known(certOf(t, b)); !ok {
			t.Error("the renewed one is refused")
		}
		_, other := asker(t)
		if _, err := r.Renew("gate", other, ""); !errors.Is(err, ErrOtherKey) {
			t.Errorf("for another key: %v", err)
		}
	})
}

// Everything is there after a restart, and no secret is.
func TestTheRegistryIsKept(t *testing.T) {
	r := openRegistry(t)
	token := mustEnrol(t, r, "gate")
	_, csr := asker(t)
	reopen := func() {
		t.Helper()
		again, err := OpenRegistry(r.path, r.ca)
		if err != nil {
			t.Fatal(err)
		}
		r = again
	}
	reopen()
	a, err := r.Join(token, csr, "")
	if err != nil {
		t.Fatal(err)
	}
	reopen()
	if _, ok := r.Known(certOf(t, a)); !ok {
		t.Error("forgotten")
	}
	if _, err := r.Join(token, csr, ""); err != nil {
		t.Errorf("asked again after a restart: %v", err)
	}
	if _, err := r.Revoke("gate"); err != nil {
		t.Fatal(err)
	}
	mustEnrol(t, r, "gate")
	reopen()
	if _, ok := r.Known(certOf(t, a)); ok {
		t.Error("revoked, and back after a restart")
	}
	b, err := os.ReadFile(r.path)
	if info, serr := os.Stat(r.path); err != nil || serr != nil || info.Mode().Perm() != 0o600 || strings.Contains(string(b), token.Secret) {
		t.Errorf("%v: %s", err, b)
	}
}

func TestARegistryThatIsNone(t *testing.T) {
	r := openRegistry(t)
	mustEnrol(t, r, "gate")
	good, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"empty": "", "foreign": `{"admin_token":"x"}`, "newer": `{"version":2}`, "no JSON": "edges", "a list": "[]",
		"followed": string(good) + "{}", "a name that is none": `{"version":1,"edges":{"a b":{"name":"a b","issuers":["*"]}}}`,
		"another's name": `{"version":1,"edges":{"a":{"name":"b","issuers":["*"]}}}`,
	}
	for i := range len(good) - 2 { // its last two bytes are the brace and the end of its line
		bad["cut"] = string(good[:i])
		for name, text := range bad {
			if err := os.WriteFile(r.path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenRegistry(r.path, r.ca); err == nil || !strings.Contains(err.Error(), r.path) || !strings.Contains(err.Error(), "backup") {
				t.Fatalf("%s: %v: %s", name, err, text)
			}
		}
		clear(bad)
	}
}

// What can't be written has not happened.
func TestARegistryThatCanNotBeWritten(t *testing.T) {
	r := openRegistry(t)
	r.path = filepath.Join(filepath.Dir(r.path), "missing", "edges.json")
	if _, _, err := r.Enrol("gate", []string{All}, nil, at, false); err == nil || !strings.Contains(err.Error(), "write the edges") {
		t.Error(err)
	}
	if len(r.Edges()) != 0 {
		t.Error(r.Edges())
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "gate-3": true, "-": true, strings.Repeat("x", 32): true,
		"": false, "Gate": false, "a.b": false, "a/b": false, strings.Repeat("x", 33): false, OriginName: false, "é": false, "a\n": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for host, ok := range map[string]bool{
		"gate3.example": true, "192.0.2.1": true, "2001:db8::1": true, "a": true,
		"": false, "*.example": false, "Gate.example": false, "a b": false, "-a": false, "a:1": false, OriginName: false, "a.": false,
	} {
		if err := CheckHost(host); (err == nil) != ok {
			t.Errorf("host %q: %v", host, err)
		}
	}
	// An edge of every name gets a certificate.
	r := openRegistry(t)
	for _, name := range []string{"-", "a-", strings.Repeat("9", 32)} {
		_, csr := asker(t)
		if a, err := r.Join(mustEnrol(t, r, name), csr, "2001:db8::1"); err != nil || certOf(t, a).Subject.CommonName != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
