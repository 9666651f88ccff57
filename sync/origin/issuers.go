package origin

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/issuer"
)

// IssuerState is what an operator sees of an issuer in a list.
type IssuerState struct {
	Issuer string `json:"issuer"`
	Offset uint64 `json:"offset"` // of the last batch
	Count  int    `json:"count"`  // subjects in the table
	Digest string `json:"digest"`

	Counts map[scanedge.Status]int `json:"counts"` // by the stored status
}

// IssuerDetail is what an operator sees of one issuer. No secret is in it.
type IssuerDetail struct {
	IssuerState
	Policy    issuer.Policy     `json:"policy"`
	PublicKey ed25519.PublicKey `json:"public_key"`
	SeedID    string            `json:"seed_id"`   // names the seed and gives nothing of it away
	CodeKeys  []int             `json:"code_keys"` // their ids, the newest first
	issuer.Given
}

func (w *writer) summary() IssuerState {
	counts := map[scanedge.Status]int{}
	for s, n := range w.table.Counts() {
		counts[scanedge.Status(cache.Status(s).String())] = n
	}
	return IssuerState{w.secret.ID, w.offset.Load(), w.table.Len(), w.table.Digest().String(), counts}
}

func (w *writer) detail() IssuerDetail {
	s := w.secret
	ids := []int{}
	for _, k := range s.CodeKeys() {
		ids = append(ids, int(k.ID))
	}
	return IssuerDetail{w.summary(), s.Policy(), s.Public().Key, s.Seed.ID().String(), ids, s.Given()}
}

// serveIssuers lists the issuers. Beside a running push the numbers of one issuer may be of different moments.
func (o *Origin) serveIssuers(rw http.ResponseWriter, req *http.Request) {
	var list struct {
		Issuers []IssuerState `json:"issuers"`
	}
	for _, w := range o.sorted() {
		list.Issuers = append(list.Issuers, w.summary())
	}
	writeJSON(rw, list)
}

// serveIssuer answers GET /v1/issuers/{issuer}, and PUT, which makes an issuer (201) or changes what the body names (200).
func (o *Origin) serveIssuer(rw http.ResponseWriter, req *http.Request) {
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		w, problem := o.issuer(req)
		if problem != nil {
			problem.Write(rw)
			return
		}
		writeJSON(rw, w.detail())
	case http.MethodPut:
		o.putIssuer(rw, req)
	default:
		rw.Header().Set("Allow", "GET, HEAD, PUT")
		scanedge.NewProblem(scanedge.MethodNotAllowed, "make or change an issuer with PUT").Write(rw)
	}
}

func (o *Origin) putIssuer(rw http.ResponseWriter, req *http.Request) {
	id := req.PathValue("issuer")
	body, problem := readBody(rw, req, maxOrder)
	if problem != nil {
		problem.Write(rw)
		return
	}
	if err := cache.CheckIssuer([]byte(id)); err != nil {
		scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("issuer %q: %v", id, err)).Write(rw)
		return
	}
	w, made, err := o.ensure(req.Context(), id, body)
	var bad badOrder
	switch {
	case errors.As(err, &bad):
		scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("issuer %q: %v", id, bad)).Write(rw)
		return
	case issuer.IsGiven(err):
		scanedge.NewProblem(scanedge.SecretMissing, err.Error()).Write(rw)
		return
	case err != nil && made:
		o.cfg.Logger.Error("an issuer was not made", "issuer", id, "err", err)
		scanedge.NewProblem(scanedge.LogUnavailable, err.Error()).Write(rw)
		return
	case err != nil:
		o.cfg.Logger.Error("an issuer was not changed", "issuer", id, "err", err)
		scanedge.NewProblem(scanedge.NotWritten, err.Error()).Write(rw)
		return
	}
	now := w.detail()
	o.cfg.Logger.Info("an issuer was settled", "issuer", id, "made", made, "policy", now.Policy, "code_keys", now.CodeKeys, o.operator(req).by())
	if made {
		created(rw)
	}
	writeJSON(rw, now)
}

// addWithin is how long an issuer may take to be made.
const addWithin = 30 * time.Second

// ensure makes an issuer as an order says, or changes one. It says of an error whether it was to be made.
func (o *Origin) ensure(ctx context.Context, id string, order []byte) (w *writer, made bool, err error) {
	o.adding.Lock()
	defer o.adding.Unlock()
	if w := o.writer(id); w != nil {
		return w, false, o.change(w.secret, order)
	}
	if !o.Ready() {
		return nil, true, errStopping
	}
	secret, err := o.secret(id, order)
	if err != nil {
		return nil, true, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), addWithin)
	defer cancel()
	w, err = o.begin(ctx, secret)
	return w, true, err
}

// secret makes the secret of an issuer that nobody serves, or takes over that of one which was not made to its end.
func (o *Origin) secret(id string, order []byte) (*issuer.Secret, error) {
	s, err := issuer.Load(o.issuerFile(id), id)
	if err == nil {
		return s, o.change(s, order)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r := issuerOrder{Policy: o.defaultPolicy()}
	if err := r.read(order); err != nil {
		return nil, err
	}
	if s, err = issuer.Create(o.issuerFile(id), id, r.Policy, r.Given); issuer.IsGiven(err) {
		err = badOrder{err}
	}
	return s, err
}

func (o *Origin) defaultPolicy() issuer.Policy {
	p := issuer.DefaultPolicy()
	p.MaxStaleSeconds = int64(o.cfg.MaxStale / time.Second)
	return p
}

// change changes of an issuer what an order names.
func (o *Origin) change(s *issuer.Secret, order []byte) error {
	r := issuerOrder{Policy: s.Policy(), Given: s.Given()}
	if err := r.read(order); err != nil {
		return err
	}
	if r.Given != s.Given() {
		return badOrder{errors.New("seed and signing key can't change: edges hold what was made with them")}
	}
	rekey := issuer.Rekey{New: r.NewCodeKey, DropOld: r.DropOldCodeKey}
	if rekey == (issuer.Rekey{}) && r.Policy == s.Policy() {
		return nil
	}
	if err := s.Settle(r.Policy, rekey); err != nil {
		return err
	}
	o.access.Changed()
	return nil
}

// issuerOrder is the body of a request for an issuer, which may be empty. What it does not name stays as it is.
type issuerOrder struct {
	issuer.Policy
	issuer.Given
	NewCodeKey     bool `json:"new_code_key"`
	DropOldCodeKey bool `json:"drop_old_code_key"`
}

// read reads an order over what holds. Its error is a badOrder.
func (r *issuerOrder) read(order []byte) error {
	err := decodeOne(order, r)
	switch {
	case err != nil:
		err = fmt.Errorf(`an issuer is settled with {"max_stale_s":SECONDS,"plain":true}: %w`, err)
	default:
		err = errors.Join(r.Policy.Check(), r.Given.Check())
	}
	if err != nil {
		return badOrder{err}
	}
	return nil
}
