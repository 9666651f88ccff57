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

// API returns the handler for pushers and edges.
func (o *Origin) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/issuers/{issuer}/deltas", o.servePush)
	mux.HandleFunc("/v1/bootstrap", o.serveBootstrap)
	mux.HandleFunc("/", notFound)
	return asWritten(mux)
}

// Admin returns the handler for operators: GET /v1/issuers with the admin token.
func (o *Origin) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/issuers", o.serveIssuers)
	mux.HandleFunc("/", notFound)
	return asWritten(mux)
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

// serveBootstrap tells an edge all it needs. The answer holds the issuers' seeds: it goes to callers on this machine, and to
// those that bring the edge token.
func (o *Origin) serveBootstrap(rw http.ResponseWriter, req *http.Request) {
	if !onlyGet(rw, req) {
		return
	}
	if _, known := o.edges.Name(bearer(req)); !known && !fromLoopback(req) {
		scanedge.NewProblem(scanedge.NoToken,
			"an edge on another machine needs the edge_token of the origin's tokens.json: start it with --edge-token").Write(rw)
		return
	}
	b := access.Bootstrap{
		Version:     access.BootstrapVersion,
		Log:         access.LogAddress{URL: "nats://" + reachable(o.log.Addr(), req.Host), Token: o.tokens.Log},
		ScannerKeys: o.scanners,
	}
	for _, w := range o.sorted() {
		b.Issuers = append(b.Issuers, w.secret.Public())
	}
	writeJSON(rw, b)
}

// reachable is the log's address as the caller can use it: a log that listens on every address is found where the origin was.
func reachable(addr, host string) string {
	h, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(h); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return net.JoinHostPort(host, port)
}

func fromLoopback(req *http.Request) bool {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// IssuerState is what an operator sees of an issuer.
type IssuerState struct {
	Issuer string `json:"issuer"`
	Offset uint64 `json:"offset"` // of the last batch
	Count  int    `json:"count"`  // subjects in the table
	Digest string `json:"digest"`
}

// serveIssuers lists the issuers. Beside a running push the numbers of one issuer may be of different moments.
func (o *Origin) serveIssuers(rw http.ResponseWriter, req *http.Request) {
	if !onlyGet(rw, req) {
		return
	}
	if _, ok := o.operators.Name(bearer(req)); !ok {
		scanedge.NewProblem(scanedge.NoToken, "send the admin token as Authorization: Bearer …").Write(rw)
		return
	}
	var list struct {
		Issuers []IssuerState `json:"issuers"`
	}
	for _, w := range o.sorted() {
		list.Issuers = append(list.Issuers, IssuerState{w.secret.ID, w.offset.Load(), w.table.Len(), w.table.Digest().String()})
	}
	writeJSON(rw, list)
}

func (o *Origin) sorted() []*writer {
	all := make([]*writer, 0, len(o.writers))
	for _, w := range o.writers {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *writer) int { return strings.Compare(a.secret.ID, b.secret.ID) })
	return all
}

// count counts a push by its outcome. A made-up issuer must not make a new series.
func (o *Origin) count(issuer, outcome string) {
	if o.writers[issuer] == nil {
		issuer = ""
	}
	o.cfg.Metrics.GetOrCreateCounter(fmt.Sprintf("scanedge_pushes_total{issuer=%q,outcome=%q}", issuer, outcome)).Inc()
}

func onlyGet(rw http.ResponseWriter, req *http.Request) bool {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return true
	}
	rw.Header().Set("Allow", "GET, HEAD")
	scanedge.NewProblem(scanedge.MethodNotAllowed, "").Write(rw)
	return false
}
