package enrol

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// authority is an origin as far as this package goes: a CA, a registry, and a server that answers as an origin does.
type authority struct {
	t        *testing.T
	dir      string
	ca       *CA
	registry *Registry
	server   *httptest.Server
	asked    atomic.Int64              // requests
	before   func(http.ResponseWriter) // is told of each request; may answer it by a panic
	after    func()                    // is told when an answer is ready but not sent
}

func newAuthority(t *testing.T, life time.Duration) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.reopen(life)
	own, err := a.ca.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(a.answer))
	a.server.TLS = own.TLS()
	a.server.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelDebug)
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	return a
}

// reopen reads what is on disk, as the next start does.
func (a *authority) reopen(life time.Duration) {
	a.t.Helper()
	var err error
	if a.ca, err = OpenCA(filepath.Join(a.dir, "ca")); err != nil {
		a.t.Fatal(err)
	}
	a.ca.Life = life
	if a.registry, err = OpenRegistry(filepath.Join(a.dir, "edges.json"), a.ca); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) url() string { return a.server.URL }

func (a *authority) answer(rw http.ResponseWriter, req *http.Request) {
	a.asked.Add(1)
	if a.before != nil {
		a.before(rw)
	}
	var body Request
	err := json.NewDecoder(req.Body).Decode(&body)
	from, _, _ := net.SplitHostPort(req.RemoteAddr)
	var answer Answer
	switch {
	case err != nil:
	case req.URL.Path == "/v1/join":
		var t Token
		if t, err = ParseToken(body.Token); err == nil {
			answer, err = a.registry.Join(t, body.CSR, from)
		}
	case len(req.TLS.PeerCertificates) == 0:
		err = errors.New("no certificate")
	default:
		e, known := a.registry.Known(req.TLS.PeerCertificates[0])
		if !known {
			err = errors.New("not known")
		} else {
			answer, err = a.registry.Renew(e.Name, body.CSR, from)
		}
	}
	if err != nil {
		scanedge.NewProblem(scanedge.BadJoinToken, err.Error()).Write(rw)
		return
	}
	if a.after != nil {
		a.after()
	}
	_ = json.NewEncoder(rw).Encode(answer)
}

func (a *authority) enrol(name string, issuers ...string) Token {
	a.t.Helper()
	t, _, err := a.registry.Enrol(name, issuers, nil, a.url(), false)
	if err != nil {
		a.t.Fatal(err)
	}
	return t
}

// join enrols a name and joins as it.
func (a *authority) join(name string, issuers ...string) *Identity {
	a.t.Helper()
	id, err := Join(a.t.Context(), a.enrol(name, issuers...), filepath.Join(a.t.TempDir(), "identity"), quiet)
	if err != nil {
		a.t.Fatal(err)
	}
	return id
}

// shake makes a TLS handshake over a real connection, a byte there and back included, and returns what each side makes of it.
func shake(t *testing.T, client, server *tls.Config) (clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		tc := tls.Server(c, server)
		b := make([]byte, 1)
		if _, err := tc.Read(b); err != nil {
			served <- err
			return
		}
		_, err = tc.Write(b)
		served <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		if _, err = c.Write([]byte{1}); err == nil {
			_, err = c.Read(make([]byte, 1)) // with TLS 1.3 a refusal comes with the first answer
		}
		c.Close()
	}
	if err != nil {
		l.Close()
	}
	return err, <-served
}
