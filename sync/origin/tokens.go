package origin

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
)

// What is said in seconds is at most ten years; a secret that was replaced goes on for a day if nothing else is said.
const (
	maxSeconds     = 10 * 365 * 24 * 60 * 60
	defaultOverlap = 24 * 60 * 60
)

// badOrder is what is wrong with what an operator asks for.
type badOrder struct{ error }

// MadeToken is the answer to who made a token, or rotated one: the only place where its plain text is.
type MadeToken struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// TokenOrder is the body of a request for a token. What is nil is not said.
type TokenOrder struct {
	Kind      access.Kind `json:"kind"`
	Name      string      `json:"name"`
	Issuers   []string    `json:"issuers,omitempty"`
	Rate      *float64    `json:"rate,omitempty"`
	Burst     *int        `json:"burst,omitempty"`
	Guard     *bool       `json:"guard,omitempty"`
	MaxDeltas int         `json:"max_deltas,omitempty"`
	ExpiresIn *int64      `json:"expires_in_s,omitempty"` // nil: it does not
}

// Token is what is asked for, and what is wrong with it. A scanner key has limits if none are said.
func (r *TokenOrder) Token() (access.Token, error) {
	t := access.Token{Kind: r.Kind, Name: r.Name, Issuers: r.Issuers, MaxDeltas: r.MaxDeltas, Guard: r.Guard}
	if r.Rate != nil {
		t.Rate = *r.Rate
	}
	if r.Burst != nil {
		t.Burst = *r.Burst
	}
	if r.Kind == access.Scan {
		t.Limit(access.NewLimits(r.Rate, r.Burst, r.Guard))
	}
	if err := t.Check(); err != nil {
		return t, err
	}
	for _, id := range r.Issuers {
		if err := cache.CheckIssuer([]byte(id)); err != nil {
			return t, fmt.Errorf("issuer %q: %w", id, err)
		}
	}
	if r.ExpiresIn != nil {
		if *r.ExpiresIn < 1 || *r.ExpiresIn > maxSeconds {
			return t, fmt.Errorf("expires_in_s is %d, not 1 to %d", *r.ExpiresIn, maxSeconds)
		}
		t.Expires = time.Now().UTC().Add(time.Duration(*r.ExpiresIn) * time.Second)
	}
	return t, nil
}

// serveTokens answers GET /v1/tokens, which lists the tokens, and POST, which makes one.
func (o *Origin) serveTokens(rw http.ResponseWriter, req *http.Request) {
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		writeJSON(rw, map[string][]access.Token{"tokens": o.access.List()})
	case http.MethodPost:
		o.makeToken(rw, req)
	default:
		rw.Header().Set("Allow", "GET, HEAD, POST")
		scanedge.NewProblem(scanedge.MethodNotAllowed, "list tokens with GET, make one with POST").Write(rw)
	}
}

func (o *Origin) makeToken(rw http.ResponseWriter, req *http.Request) {
	const expected = `a token is asked for as {"kind":"push","name":"NAME"}`
	var order TokenOrder
	if problem := readJSON(rw, req, maxOrder, expected, &order); problem != nil {
		problem.Write(rw)
		return
	}
	t, err := order.Token()
	if err != nil {
		unexpected(expected, err).Write(rw)
		return
	}
	made, token, err := o.access.Create(t)
	if err != nil {
		o.refuseOrder(rw, err)
		return
	}
	o.cfg.Logger.Info("a token was made", "id", made.ID, "kind", made.Kind, "name", made.Name, o.operator(req).by())
	created(rw)
	writeJSON(rw, MadeToken{made.ID, token})
}

// serveRotate answers POST /v1/tokens/{id}/rotate: another secret for the same token.
func (o *Origin) serveRotate(rw http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		scanedge.NewProblem(scanedge.MethodNotAllowed, "rotate a token with POST").Write(rw)
		return
	}
	const expected = `a token is rotated with {"overlap_s":SECONDS}, or without a body`
	order := struct {
		Overlap int64 `json:"overlap_s"`
	}{defaultOverlap}
	problem := readJSON(rw, req, maxOrder, expected, &order)
	if problem == nil && (order.Overlap < 0 || order.Overlap > maxSeconds) {
		problem = unexpected(expected, fmt.Errorf("overlap_s is %d, not 0 to %d", order.Overlap, maxSeconds))
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	id, by := req.PathValue("id"), o.operator(req)
	token, err := o.access.Rotate(id, time.Duration(order.Overlap)*time.Second)
	if err != nil {
		o.refuseOrder(rw, err)
		return
	}
	o.cfg.Logger.Info("a token was rotated", "id", id, "overlap_s", order.Overlap, by.by())
	writeJSON(rw, MadeToken{id, token})
}

// serveToken answers DELETE /v1/tokens/{id}: the token is out at once, here; on the edges as soon as they hear of it.
func (o *Origin) serveToken(rw http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodDelete {
		rw.Header().Set("Allow", http.MethodDelete)
		scanedge.NewProblem(scanedge.MethodNotAllowed, "revoke a token with DELETE").Write(rw)
		return
	}
	by := o.operator(req)
	t, err := o.access.Revoke(req.PathValue("id"))
	if err != nil {
		o.refuseOrder(rw, err)
		return
	}
	o.cfg.Logger.Info("a token was revoked", "id", t.ID, "kind", t.Kind, "name", t.Name, by.by())
	writeJSON(rw, t)
}

// refuseOrder says why a token is not made, rotated or revoked.
func (o *Origin) refuseOrder(rw http.ResponseWriter, err error) {
	for known, word := range map[error]scanedge.ProblemType{
		access.ErrUnknown: scanedge.UnknownToken, access.ErrNameTaken: scanedge.NameTaken, access.ErrLastAdmin: scanedge.LastAdmin,
		access.ErrTooMany: scanedge.TooManyTokens,
	} {
		if errors.Is(err, known) {
			scanedge.NewProblem(word, err.Error()).Write(rw)
			return
		}
	}
	o.cfg.Logger.Error("who may is not written down", "err", err)
	scanedge.NewProblem(scanedge.NotWritten, "look after the disk of the origin's data folder, then ask again; "+
		"a token that was to be revoked is out, but a restart would let it in again").Write(rw)
}

// created makes an answer that writeJSON is to write a 201, for which writeJSON is too late.
func created(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(http.StatusCreated)
}
