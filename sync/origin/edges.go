package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/enrol"
)

// enrolment is who may follow this origin, and its own certificate.
type enrolment struct {
	ca       *enrol.CA
	server   *enrol.Server
	registry *enrol.Registry
	live     live
}

// openEnrolment opens the CA, made at the first start, and the edges that were enrolled.
func (o *Origin) openEnrolment() (err error) {
	if o.enrolled.ca, err = enrol.OpenCA(filepath.Join(o.cfg.Dir, "ca")); err != nil {
		return err
	}
	if o.enrolled.registry, err = enrol.OpenRegistry(filepath.Join(o.cfg.Dir, "edges.json"), o.enrolled.ca); err != nil {
		return err
	}
	o.enrolled.server, err = o.enrolled.ca.NewServer(o.cfg.Hosts)
	return err
}

// Secure makes a server, which must not serve yet, the one that edges ask: it speaks TLS with the origin's certificate, and its
// connections are known by their edges, so that to revoke one closes them.
func (o *Origin) Secure(server *http.Server) {
	server.TLSConfig, server.Protocols = o.enrolled.server.TLS(), new(http.Protocols)
	server.Protocols.SetHTTP1(true) // each stream has a connection of its own, which can be closed by itself
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	server.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateClosed || s == http.StateHijacked {
			o.enrolled.live.forget(c)
		}
	}
}

// CAPath is where the certificate of the origin's CA lies.
func (o *Origin) CAPath() string { return o.enrolled.ca.Path() }

type connKey struct{} // of a request's connection, in its context

// live is the connections that edges have. Its zero value is ready.
type live struct {
	mu     sync.Mutex // guards
	byEdge map[string]map[net.Conn]bool
}

func (l *live) note(edge string, c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byEdge == nil {
		l.byEdge = map[string]map[net.Conn]bool{}
	}
	if l.byEdge[edge] == nil {
		l.byEdge[edge] = map[net.Conn]bool{}
	}
	l.byEdge[edge][c] = true
}

func (l *live) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for edge, conns := range l.byEdge {
		if delete(conns, c); len(conns) == 0 {
			delete(l.byEdge, edge)
		}
	}
}

// cut closes an edge's connections, whatever goes on on them. It says no farewell, which could wait for who is being cut.
func (l *live) cut(edge string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.byEdge[edge] {
		if t, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = t.NetConn()
		}
		_ = c.Close()
	}
}

// edgeOf returns the edge that asks, by the certificate of its connection and by what the registry says now. The connection is
// noted before the registry is asked: an edge that is revoked at this moment is refused, or cut.
func (o *Origin) edgeOf(req *http.Request) (enrol.Edge, bool) {
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
		return enrol.Edge{}, false
	}
	cert := req.TLS.VerifiedChains[0][0]
	if c, ok := req.Context().Value(connKey{}).(net.Conn); ok {
		o.enrolled.live.note(cert.Subject.CommonName, c)
	}
	return o.enrolled.registry.Known(cert)
}

// forEdges lets edges in, each to what is of its issuers. Whether there are others is not told.
func (o *Origin) forEdges(h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		e, ok := o.edgeOf(req)
		id := req.PathValue("issuer")
		waits := o.waitProblem(id) // asked once: the issuer may be served a moment later
		switch {
		case !ok && (req.TLS == nil || len(req.TLS.PeerCertificates) == 0):
			scanedge.NewProblem(scanedge.NoEdge, "ask with an edge's certificate, at the TLS listener; scanedge edge enrol makes an edge").Write(rw)
		case !ok:
			rw.Header().Set("Connection", "close") // the next one may bring a newer certificate
			scanedge.NewProblem(scanedge.NotEnrolled,
				"this certificate is of no edge that is enrolled: it was revoked, replaced, or has ended; enrol the edge again").Write(rw)
		case id != "" && !e.May(id):
			scanedge.NewProblem(scanedge.NotYourIssuer, "this edge is not enrolled for that issuer").Write(rw)
		case waits != nil:
			waits.Write(rw)
		default:
			if req.TLS.PeerCertificates[0].NotAfter.Before(e.CertEnds) {
				rw.Header().Set("Connection", "close") // it was renewed: a kept connection must not outlive what it was opened with
			}
			h(rw, req)
		}
	}
}

// serveJoin answers POST /v1/join: a token makes the caller an edge.
func (o *Origin) serveJoin(rw http.ResponseWriter, req *http.Request) {
	if req.TLS == nil {
		scanedge.NewProblem(scanedge.BadRequest, "join at the origin's TLS listener: a token is a secret").Write(rw)
		return
	}
	var body enrol.Request
	if problem := readJSON(rw, req, maxEdgeBody, `an edge joins with {"token":"TOKEN","csr":"BASE64"}`, &body); problem != nil {
		problem.Write(rw)
		return
	}
	token, err := enrol.ParseToken(body.Token)
	if err != nil {
		scanedge.NewProblem(scanedge.BadRequest, "the token is none: "+err.Error()).Write(rw)
		return
	}
	answer, err := o.enrolled.registry.Join(token, body.CSR, callerHost(req))
	if err != nil {
		o.cfg.Logger.Warn("a join was refused", "from", req.RemoteAddr, "err", err)
		edgeProblem(err).Write(rw)
		return
	}
	o.expect(answer.Name)
	o.access.Changed()
	o.cfg.Logger.Info("an edge has joined", "edge", answer.Name, "from", req.RemoteAddr)
	writeJSON(rw, answer)
}

// serveRenew answers POST /v1/edges/self/renew: an edge gets its next certificate.
func (o *Origin) serveRenew(rw http.ResponseWriter, req *http.Request) {
	var body enrol.Request
	if problem := readJSON(rw, req, maxEdgeBody, `a certificate is renewed with {"csr":"BASE64"}`, &body); problem != nil {
		problem.Write(rw)
		return
	}
	e, _ := o.edgeOf(req) // it was let in
	answer, err := o.enrolled.registry.Renew(e.Name, body.CSR, callerHost(req))
	if err != nil {
		o.cfg.Logger.Warn("a certificate was not renewed", "edge", e.Name, "from", req.RemoteAddr, "err", err)
		edgeProblem(err).Write(rw)
		return
	}
	writeJSON(rw, answer)
}

// serveEdges answers GET /v1/edges.
func (o *Origin) serveEdges(rw http.ResponseWriter, _ *http.Request) {
	writeJSON(rw, map[string][]enrol.Edge{"edges": o.enrolled.registry.Edges()})
}

// serveEdge answers GET, PUT and DELETE of /v1/edges/{name}: shows, enrols, revokes.
func (o *Origin) serveEdge(rw http.ResponseWriter, req *http.Request) {
	name := req.PathValue("name")
	if err := enrol.CheckName(name); err != nil {
		scanedge.NewProblem(scanedge.BadRequest, err.Error()).Write(rw)
		return
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		e, known := o.enrolled.registry.Edge(name)
		if !known {
			edgeProblem(fmt.Errorf("%w, %q", enrol.ErrUnknown, name)).Write(rw)
			return
		}
		writeJSON(rw, e)
	case http.MethodPut:
		o.serveEnrol(rw, req, name)
	case http.MethodDelete:
		e, err := o.enrolled.registry.Revoke(name)
		if err != nil {
			edgeProblem(err).Write(rw)
			return
		}
		o.enrolled.live.cut(name)
		o.fleet.forget(name)
		o.access.Changed()
		o.cfg.Logger.Info("an edge was revoked", "edge", name, o.operator(req).by())
		writeJSON(rw, e)
	}
}

// serveEnrol enrols an edge of that name and answers 201 with the token that one machine may join with.
func (o *Origin) serveEnrol(rw http.ResponseWriter, req *http.Request, name string) {
	var body struct {
		Issuers []string `json:"issuers"`
		Hosts   []string `json:"hosts"`
		Replace bool     `json:"replace"`
	}
	if problem := readJSON(rw, req, maxEdgeBody, `an edge is enrolled with {"issuers":["gz"],"hosts":["HOST"]}`, &body); problem != nil {
		problem.Write(rw)
		return
	}
	if p := o.checkEnrolment(body.Issuers, body.Hosts); p != nil {
		p.Write(rw)
		return
	}
	token, until, err := o.enrolled.registry.Enrol(name, body.Issuers, body.Hosts, o.cfg.EdgesAt, body.Replace)
	if err != nil {
		edgeProblem(err).Write(rw)
		return
	}
	o.enrolled.live.cut(name) // of the one that it replaces
	o.fleet.forget(name)
	o.access.Changed()
	o.cfg.Logger.Info("an edge was enrolled", "edge", name, "issuers", body.Issuers, "replace", body.Replace, "until", until, o.operator(req).by())
	rw.Header().Set("Content-Type", "application/json") // where writeJSON is too late
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(http.StatusCreated)
	writeJSON(rw, scanedge.Enrolment{Name: name, Token: token.String(), Until: until})
}

// checkEnrolment says what is wrong with what an edge is to be allowed and called, nil if nothing is.
func (o *Origin) checkEnrolment(issuers, hosts []string) *scanedge.Problem {
	if len(issuers) == 0 {
		return scanedge.NewProblem(scanedge.BadRequest, `name the issuers that the edge may read: {"issuers":["gz","sz"]}, or ["*"] for all`)
	}
	if slices.Contains(issuers, enrol.All) && len(issuers) > 1 {
		return scanedge.NewProblem(scanedge.BadRequest, `"*" stands for all issuers, also those made later: name it alone`)
	}
	for _, id := range issuers {
		if id == enrol.All {
			continue
		}
		if err := cache.CheckIssuer([]byte(id)); err != nil {
			return scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("issuer %q: %v", id, err))
		}
		if o.writer(id) == nil && o.waits(id) == nil {
			return scanedge.NewProblem(scanedge.UnknownIssuer, fmt.Sprintf("this origin has no issuer %q; make it first", id))
		}
	}
	for _, host := range hosts {
		if err := enrol.CheckHost(host); err != nil {
			return scanedge.NewProblem(scanedge.BadRequest, err.Error())
		}
	}
	return nil
}

// edgeProblem is the answer to what the registry refuses.
func edgeProblem(err error) *scanedge.Problem {
	for _, known := range []struct {
		cause error
		word  scanedge.ProblemType
	}{
		{enrol.ErrExists, scanedge.EdgeExists}, {enrol.ErrUnknown, scanedge.UnknownEdge}, {enrol.ErrToken, scanedge.BadJoinToken},
		{enrol.ErrRequest, scanedge.BadRequest}, {enrol.ErrOtherKey, scanedge.BadRequest},
	} {
		if errors.Is(err, known.cause) {
			return scanedge.NewProblem(known.word, err.Error())
		}
	}
	return scanedge.NewProblem(scanedge.NotWritten, err.Error())
}

// callerHost is the address that a request comes from, as certificates name it.
func callerHost(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return ""
	}
	host, _, _ = strings.Cut(host, "%") // a zone has a meaning on this machine alone
	return host
}
