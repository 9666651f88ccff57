package origin

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
)

// API returns the handler for pushers, edges and operators.
func (o *Origin) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/issuers/{issuer}/deltas", only("POST", o.servePush))
	mux.HandleFunc("/v1/issuers/{issuer}/pushes/{key}", only("GET, HEAD", o.servePushed))
	mux.HandleFunc("/v1/issuers/{issuer}/records", only("GET, HEAD", o.serveRecords))
	mux.HandleFunc("/v1/issuers/{issuer}/snapshot", o.forEdges(only("GET, HEAD", o.serveOffer)))
	mux.HandleFunc("/v1/issuers/{issuer}/snapshots/{id}", o.forEdges(o.snapshots.ServeHTTP))
	mux.HandleFunc("/v1/issuers/{issuer}/log", o.forEdges(only("GET, HEAD", o.serveLog)))
	mux.HandleFunc("/v1/edges/self/reports", answeredEarly(o.forEdges(only("POST", o.serveReports))))
	mux.HandleFunc("/v1/control", o.forEdges(only("GET, HEAD", o.serveControl)))
	mux.HandleFunc("/v1/join", only("POST", o.serveJoin))
	mux.HandleFunc("/v1/edges/self/renew", o.forEdges(only("POST", o.serveRenew)))
	o.forApproversOn(mux)
	o.forOperatorsOn(mux)
	mux.HandleFunc("/v1/openapi.yaml", only("GET, HEAD", o.serveContract))
	mux.HandleFunc("/", notFound)
	return inTime(asWritten(mux))
}

// Admin returns the handler for operators alone, who may be kept to a listener of their own.
func (o *Origin) Admin() http.Handler {
	mux := http.NewServeMux()
	o.forApproversOn(mux)
	o.forOperatorsOn(mux)
	mux.HandleFunc("/v1/openapi.yaml", only("GET, HEAD", o.serveContract))
	mux.HandleFunc("/", notFound)
	return inTime(asWritten(mux))
}

// forOperatorsOn adds what takes the admin token.
func (o *Origin) forOperatorsOn(mux *http.ServeMux) {
	mux.HandleFunc("/v1/issuers", o.forOperators(only("GET, HEAD", o.serveIssuers)))
	mux.HandleFunc("/v1/issuers/{issuer}", o.forOperators(o.serveIssuer))
	mux.HandleFunc("/v1/issuers/{issuer}/code-keys", o.forOperators(only("GET", o.serveCodeKeys)))
	mux.HandleFunc("/v1/issuers/{issuer}/subjects/{subject}", o.forOperators(only("GET, HEAD", o.serveSubject)))
	mux.HandleFunc("/v1/issuers/{issuer}/subjects/{subject}/secret", o.forOperators(only("GET", o.serveSecret)))
	mux.HandleFunc("/v1/issuers/{issuer}/subjects/{subject}/codes", o.forOperators(only("POST", o.serveSign)))
	mux.HandleFunc("/v1/issuers/{issuer}/rollback", o.forOperators(only("POST", o.serveRollback)))
	mux.HandleFunc("/v1/status", o.forOperators(only("GET, HEAD", o.serveStatus)))
	mux.HandleFunc("/v1/backup", o.forOperators(only("GET, HEAD", o.serveBackup)))
	mux.HandleFunc("/v1/tokens", o.forOperators(o.serveTokens))
	mux.HandleFunc("/v1/tokens/{id}", o.forOperators(o.serveToken))
	mux.HandleFunc("/v1/tokens/{id}/rotate", o.forOperators(o.serveRotate))
	mux.HandleFunc("/v1/edges", o.forOperators(only("GET, HEAD", o.serveEdges)))
	mux.HandleFunc("/v1/edges/{name}", o.forOperators(only("GET, HEAD, PUT, DELETE", o.serveEdge)))
}

// asWritten keeps mux from redirecting a path with "//" or ".." to the one that it takes for meant: a push goes where its sender
// says, or nowhere.
func asWritten(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if p := req.URL.EscapedPath() + "/"; strings.Contains(p[:len(p)-1], "//") || strings.Contains(p, "/./") || strings.Contains(p, "/../") {
			notFound(rw, req)
			return
		}
		mux.ServeHTTP(rw, req)
	})
}

func notFound(rw http.ResponseWriter, req *http.Request) {
	scanedge.NewProblem(scanedge.NotFound, req.URL.Path).Write(rw)
}

func fromLoopback(req *http.Request) bool {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

func (o *Origin) forOperators(h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		if _, ok := o.access.Check(access.Admin, bearer(req)); !ok {
			scanedge.NewProblem(scanedge.NoToken, "send the admin token as Authorization: Bearer …").Write(rw)
			return
		}
		h(rw, req)
	}
}

// issuer returns the writer of the issuer that a request names.
func (o *Origin) issuer(req *http.Request) (*writer, *scanedge.Problem) {
	id := req.PathValue("issuer")
	if w := o.writer(id); w != nil {
		return w, nil
	}
	if problem := o.waitProblem(id); problem != nil {
		return nil, problem
	}
	return nil, scanedge.NewProblem(scanedge.UnknownIssuer, fmt.Sprintf("this origin has no issuer %q", id))
}

// only is h for the methods that are allowed, with ", " between them.
func only(allowed string, h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		if !slices.Contains(strings.Split(allowed, ", "), req.Method) {
			rw.Header().Set("Allow", allowed)
			scanedge.NewProblem(scanedge.MethodNotAllowed, "").Write(rw)
			return
		}
		h(rw, req)
	}
}

func (o *Origin) sorted() []*writer {
	o.mu.RLock()
	defer o.mu.RUnlock()
	all := make([]*writer, 0, len(o.writers))
	for _, w := range o.writers {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *writer) int { return strings.Compare(a.secret.ID, b.secret.ID) })
	return all
}

// count counts a push by its outcome. A made-up issuer must not make a new series.
func (o *Origin) count(issuer, outcome string) {
	if o.writer(issuer) == nil {
		issuer = ""
	}
	o.cfg.Metrics.GetOrCreateCounter(fmt.Sprintf("scanedge_pushes_total{issuer=%q,outcome=%q}", issuer, outcome)).Inc()
}
