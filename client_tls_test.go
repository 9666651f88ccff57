package scanedge_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/scanedge/scanedge"
)

// A client believes the authority that it was given and no other, an edge by its host, an origin by its name alone.
func TestTrustCA(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte(`{"status":"green"}`))
	}))
	defer server.Close()
	edge := func(url string, roots *x509.CertPool) error {
		e := scanedge.NewEdge(url, "key")
		if roots != nil {
			e.TrustCA(roots)
		}
		_, err := e.Scan(t.Context(), "gz:x")
		return err
	}
	good := x509.NewCertPool()
	good.AddCert(server.Certificate()) // for 127.0.0.1 and example.com
	if err := edge(server.URL, good); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"no authority":      edge(server.URL, nil),
		"another authority": edge(server.URL, x509.NewCertPool()),
		"another host":      edge(strings.Replace(server.URL, "127.0.0.1", "localhost", 1), good),
	} {
		if err == nil || !strings.Contains(err.Error(), "x509: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := scanedge.NewOperator(server.URL, "token")
	o.TrustCA(good)
	if err := o.Call(t.Context(), "ask", "GET", "/v1/issuers", nil, nil); err == nil || !strings.Contains(err.Error(), scanedge.OriginName) {
		t.Errorf("a server that is no origin: %v", err)
	}
	p := scanedge.NewOrigin(server.URL, "token")
	p.TrustCA(good)
	if _, err := p.Push(t.Context(), "gz", []scanedge.Delta{{Subject: "x", Status: "green"}}); err == nil || !strings.Contains(err.Error(), scanedge.OriginName) {
		t.Errorf("a server that is no origin: %v", err)
	}
}
