package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/snapshot"
)

const (
	peerFor    = 30 * time.Second // how long an edge is a source without saying so again
	maxSources = 8                // peers in an offer
	maxPeers   = 1000             // more are not needed
)

// peers are the edges that offer snapshots. Nothing that they say is believed but that they may be asked: what they send is
// checked by who asks.
type peers struct {
	mu    sync.Mutex
	byURL map[string]peer
}

type peer struct {
	snapshots map[string]string // id of the snapshot that it has, by issuer
	until     time.Time
}

// put notes what an edge offers. It is not noted if there are too many.
func (p *peers) put(base string, snapshots map[string]string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.byURL[base]; !known && len(p.byURL) >= maxPeers {
		if p.forget(now); len(p.byURL) >= maxPeers {
			return false
		}
	}
	if p.byURL == nil {
		p.byURL = map[string]peer{}
	}
	p.byURL[base] = peer{snapshots, now.Add(peerFor)}
	return true
}

func (p *peers) forget(now time.Time) {
	for base, peer := range p.byURL {
		if !now.Before(peer.until) {
			delete(p.byURL, base)
		}
	}
}

// sources are base URLs of edges that offer a snapshot, some of them by chance if there are many.
func (p *peers) sources(issuer, id string, now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(now)
	var urls []string
	for base, peer := range p.byURL {
		if peer.snapshots[issuer] == id {
			urls = append(urls, base)
		}
	}
	rand.Shuffle(len(urls), func(i, j int) { urls[i], urls[j] = urls[j], urls[i] })
	return urls[:min(len(urls), maxSources)]
}

// serveOffer answers GET /v1/issuers/{issuer}/snapshot: the newest snapshot, and who has it.
func (o *Origin) serveOffer(rw http.ResponseWriter, req *http.Request) {
	w, problem := o.issuer(req)
	if problem != nil {
		problem.Write(rw)
		return
	}
	id := w.secret.ID
	f := w.snapshots.newest.Load()
	if f == nil {
		scanedge.NewProblem(scanedge.NoSnapshot, "none was written yet: the log still holds everything, follow it from its start").Write(rw)
		return
	}
	own := (&url.URL{Scheme: "https", Host: req.Host}).String()
	offer := snapshot.Offer{Manifest: f.Manifest, Sources: append(o.peers.sources(id, f.ID, time.Now()), own)}
	if f := w.snapshots.before.Load(); f != nil {
		offer.Before = &snapshot.Before{ID: f.ID, Sources: o.peers.sources(id, f.ID, time.Now())}
	}
	writeJSON(rw, offer)
}

// servePeer answers PUT /v1/peers: an edge says which snapshots it offers, and has to say so again before peerFor is over.
func (o *Origin) servePeer(rw http.ResponseWriter, req *http.Request) {
	var body struct {
		URL       string            `json:"url"`
		Snapshots map[string]string `json:"snapshots"`
	}
	err := json.NewDecoder(http.MaxBytesReader(rw, req.Body, 64<<10)).Decode(&body)
	var base string
	if err == nil {
		base, err = peerURL(body.URL, req.RemoteAddr)
	}
	if err != nil {
		scanedge.NewProblem(scanedge.BadRequest,
			fmt.Sprintf(`an edge offers its snapshots with {"url":"https://HOST:PORT","snapshots":{"ISSUER":"ID"}}: %v`, err)).Write(rw)
		return
	}
	e, _ := o.edgeOf(req)                                                                                             // it was let in
	maps.DeleteFunc(body.Snapshots, func(issuer, _ string) bool { return o.writer(issuer) == nil || !e.May(issuer) }) // what is kept is bounded
	if !o.peers.put(base, body.Snapshots, time.Now()) {
		scanedge.NewProblem(scanedge.Busy, "there are edges enough that offer snapshots").Write(rw)
		return
	}
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(http.StatusNoContent)
}

// peerURL is the base URL of a peer as others reach it: one that listens on every address is found where it called from.
func peerURL(base, caller string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		return "", err
	}
	if u.Scheme != "https" || host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the url is not of the form https://HOST:PORT")
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host, _, err = net.SplitHostPort(caller); err != nil {
			return "", err
		}
		u.Host = net.JoinHostPort(host, port)
	}
	return u.String(), nil
}
