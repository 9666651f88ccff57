package origin

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/snapshot"
)

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
	offer := snapshot.Offer{Manifest: f.Manifest, Sources: append(o.fleet.sources(id, f.ID, time.Now()), own)}
	if f := w.snapshots.before.Load(); f != nil {
		offer.Before = &snapshot.Before{ID: f.ID, Sources: o.fleet.sources(id, f.ID, time.Now())}
	}
	writeJSON(rw, offer)
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
