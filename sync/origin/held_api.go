package origin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/scanedge/scanedge"
)

// forApproversOn adds what takes the admin token or a push token: to look at the pushes that are held, approve and drop them; to wait
// for edges.
func (o *Origin) forApproversOn(mux *http.ServeMux) {
	mux.HandleFunc("/v1/issuers/{issuer}/offsets/{offset}", only("GET, HEAD", o.forApprovers(o.serveReached)))
	mux.HandleFunc("/v1/issuers/{issuer}/held", only("GET, HEAD", o.forApprovers(o.serveHeldList)))
	mux.HandleFunc("/v1/issuers/{issuer}/held/{id}", only("GET, HEAD, DELETE", o.forApprovers(o.serveHeld)))
	mux.HandleFunc("/v1/issuers/{issuer}/held/{id}/approve", only("POST", o.forApprovers(o.serveApprove)))
}

// approving is a handler that knows who asks, and of which issuer.
type approving func(rw http.ResponseWriter, req *http.Request, w *writer, by caller)

func (o *Origin) forApprovers(h approving) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		by, problem := o.approver(req)
		var w *writer
		if problem == nil {
			w, problem = o.issuer(req)
		}
		if problem != nil {
			problem.Write(rw)
			return
		}
		h(rw, req, w, by)
	}
}

// now is a held push made ready, approved by a token of a name.
func (w *writer) now(h *heldPush, by string) (*push, error) {
	_, batch, err := readHeld(w.held.path(h.ID))
	if err != nil {
		return nil, err
	}
	return h.push(w, batch, by)
}

// look is what is shown of a held push: its figures are counted anew.
func (w *writer) look(h *heldPush) (scanedge.Held, error) {
	p, err := w.now(h, "")
	if err != nil {
		return scanedge.Held{}, err
	}
	t := p.tally(&w.table, nil)
	return h.shown(w, t.figures()), nil
}

// serveHeldList lists what is held.
func (o *Origin) serveHeldList(rw http.ResponseWriter, _ *http.Request, w *writer, _ caller) {
	answer := struct {
		Held []scanedge.Held `json:"held"`
	}{[]scanedge.Held{}}
	for _, h := range w.held.all() {
		shown, err := w.look(h)
		if err != nil {
			w.logger.Error("a held push is not shown", "err", err) // it may have been dropped meanwhile
			continue
		}
		answer.Held = append(answer.Held, shown)
	}
	writeJSON(rw, answer)
}

func (o *Origin) serveHeld(rw http.ResponseWriter, req *http.Request, w *writer, by caller) {
	if req.Method == http.MethodDelete {
		w.serveDrop(rw, req, by)
		return
	}
	h, err := w.held.find(req.PathValue("id"))
	var shown scanedge.Held
	if err == nil {
		shown, err = w.look(h)
	}
	if err != nil {
		w.heldProblem(req.PathValue("id"), err).Write(rw)
		return
	}
	writeJSON(rw, shown)
}

func (w *writer) serveDrop(rw http.ResponseWriter, req *http.Request, by caller) {
	id := req.PathValue("id")
	if err := w.held.drop(id); err != nil {
		w.heldProblem(id, err).Write(rw)
		return
	}
	w.logger.Warn("a held push was dropped", "id", id, by.by())
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(http.StatusNoContent)
}

func (w *writer) heldProblem(id string, err error) *scanedge.Problem {
	switch {
	case errors.Is(err, errNotHeld):
		return scanedge.NewProblem(scanedge.UnknownHeld, fmt.Sprintf("no push is held as %q; it may have been approved, dropped or be older "+
			"than 24 hours", id))
	case errors.Is(err, errApplying):
		return scanedge.NewProblem(scanedge.Busy, "somebody has approved it and it is being applied; ask again")
	}
	w.logger.Error("a held push can't be used", "id", id, "err", err)
	return scanedge.NewProblem(scanedge.LogUnavailable, err.Error())
}

// serveApprove applies a held push as its pusher's, if who asks is another.
func (o *Origin) serveApprove(rw http.ResponseWriter, req *http.Request, w *writer, by caller) {
	id := req.PathValue("id")
	var out outcome
	var problem *scanedge.Problem
	var pusher string // its token's id
	err := w.held.apply(id, func() error {
		h, err := w.held.find(id)
		if err != nil {
			return err
		}
		if pusher = h.Token; pusher == by.id {
			problem = scanedge.NewProblem(scanedge.SameToken, fmt.Sprintf("%q pushed it; another push token or the admin token may approve", by.name))
			return errRefused
		}
		p, err := w.now(h, by.name)
		if err != nil {
			return err
		}
		if out = w.submit(req.Context(), p); out.err != nil {
			problem = w.refusal(p, out.err)
			return errRefused
		}
		return nil
	})
	if err != nil && problem == nil {
		problem = w.heldProblem(id, err)
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	revoked := !o.access.Lives(pusher)
	w.logger.Warn("a held push was approved", "id", id, by.by(), "pusher_id", pusher, "pusher_revoked", revoked, "offset", out.receipt.Offset)
	writeJSON(rw, scanedge.Applied{Offset: out.receipt.Offset, Batches: 1, Figures: out.tally.figures(), PusherRevoked: revoked})
}

// errRefused is an approval's error whose problem is known.
var errRefused = errors.New("refused")
