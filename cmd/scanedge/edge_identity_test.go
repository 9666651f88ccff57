package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/scanedge/scanedge/sync/enrol"
)

// Another edge fetches the snapshots of the issuers that its certificate names, and nothing else.
func TestFellowsReadTheirIssuers(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := enrol.KeyHash(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var f fellows
	f.learn(map[string]string{"gate": hash})
	h := forFellows(f.know, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) }))
	for _, c := range []struct {
		issuers []string
		path    string
		want    int
	}{
		{[]string{"gz"}, "/v1/issuers/gz/snapshots/1", 200}, {[]string{"sz", "gz"}, "/v1/issuers/gz/snapshots/1", 200},
		{[]string{"*"}, "/v1/issuers/gz/snapshots/1", 200}, {[]string{"sz"}, "/v1/issuers/gz/snapshots/1", 403},
		{nil, "/v1/issuers/gz/snapshots/1", 403}, {[]string{"gz"}, "/v1/issuers/gz%2Fsnapshots%2F1/snapshots/1", 403},
		{[]string{"sz"}, "/v1/issuers/sz%2F..%2Fgz/snapshots/1", 403}, {[]string{"sz"}, "/v1/issuers/SZ/snapshots/1", 403},
		{[]string{"*"}, "/v1/issuers/gz/log", 404}, {[]string{"*"}, "/", 404},
	} {
		req := httptest.NewRequest(http.MethodGet, c.path, nil)
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: "gate", OrganizationalUnit: c.issuers}, PublicKey: key.Public()}
		req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, req); rec.Code != c.want {
			t.Errorf("%v asks for %s: %d, want %d", c.issuers, c.path, rec.Code, c.want)
		}
		f.learn(nil) // it was revoked, and its connection is open still
		rec = httptest.NewRecorder()
		if h.ServeHTTP(rec, req); rec.Code < 400 {
			t.Errorf("revoked, it asks for %s: %d", c.path, rec.Code)
		}
		f.learn(map[string]string{"gate": hash})
	}
}

func TestFellowsAreWhomTheOriginNames(t *testing.T) {
	var f fellows
	if f.know("a", "1") || f.know("a", "") {
		t.Error("somebody is known before the origin said anything")
	}
	f.learn(map[string]string{"a": "1", "b": ""})
	for _, c := range []struct {
		name, key string
		want      bool
	}{{"a", "1", true}, {"a", "2", false}, {"c", "1", false}, {"c", "", false}, {"b", "", false}} {
		if f.know(c.name, c.key) != c.want {
			t.Errorf("%+v", c)
		}
	}
	f.learn(nil)
	if f.know("a", "1") {
		t.Error("one that was revoked is known")
	}
}
