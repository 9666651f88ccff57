package origin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/issuer"
)

// serveSecret answers GET /v1/issuers/{issuer}/subjects/{subject}/secret: what a phone makes the subject's rolling codes with. The journal
// says who asked, and no subject. The subject need not be in the table: an issuer enrols a phone before the first push about its holder,
// or after it. With ?key_id= it is the secret of an older key that is still known: to check codes that phones make with it.
func (o *Origin) serveSecret(rw http.ResponseWriter, req *http.Request) {
	w, subject, problem := o.subjectOf(req)
	var by issuer.CodeKey
	if problem == nil {
		by, problem = w.codeKey(req.FormValue("key_id"))
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	s := w.subjectSecret(by, subject, time.Now())
	o.cfg.Logger.Info("a subject's secret was given out", "issuer", s.Issuer, "key_id", s.KeyID, o.operator(req).by())
	writeJSON(rw, s)
}

// codeKey is the issuer's code key of that id, of none the newest.
func (w *writer) codeKey(id string) (issuer.CodeKey, *scanedge.Problem) {
	known := w.secret.CodeKeys()
	if id == "" {
		return known[0], nil // begin sees to it that there is one
	}
	for _, k := range known {
		if id == strconv.Itoa(int(k.ID)) {
			return k, nil
		}
	}
	return issuer.CodeKey{}, scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("issuer %s has no code key %q; leave key_id out for the newest", w.secret.ID, id))
}

func (w *writer) subjectSecret(by issuer.CodeKey, subject string, now time.Time) scanedge.SubjectSecret {
	key := passcode.NewKey(w.secret.ID, by.ID, by.Key)
	secret := key.Secret([]byte(subject))
	return scanedge.SubjectSecret{
		Issuer: w.secret.ID, Subject: subject, KeyID: int(by.ID), Secret: hex.EncodeToString(secret[:]),
		Step: passcode.Step(now.Unix()), StepSeconds: passcode.StepSeconds, ServerTime: now.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
	}
}

// IssuerCodeKeys are what an issuer's rolling codes are made with, the newest first.
type IssuerCodeKeys struct {
	Issuer   string           `json:"issuer"`
	CodeKeys []issuer.CodeKey `json:"code_keys"`
}

// serveCodeKeys answers GET /v1/issuers/{issuer}/code-keys, over TLS or on this machine: for who makes codes of a whole population, such as a
// load. An admin token finds them in a backup too; here nobody has to take all secrets for the sake of these. The journal says who asked.
func (o *Origin) serveCodeKeys(rw http.ResponseWriter, req *http.Request) {
	if req.TLS == nil && !fromLoopback(req) {
		scanedge.NewProblem(scanedge.BadRequest,
			"whoever has a code key makes codes of every subject: ask for it over TLS, or on the origin's machine").Write(rw)
		return
	}
	w, problem := o.issuer(req)
	if problem != nil {
		problem.Write(rw)
		return
	}
	keys := IssuerCodeKeys{w.secret.ID, w.secret.CodeKeys()}
	o.cfg.Logger.Info("code keys were given out", "issuer", keys.Issuer, "newest", keys.CodeKeys[0].ID, o.operator(req).by())
	writeJSON(rw, keys)
}

// serveSign answers POST /v1/issuers/{issuer}/subjects/{subject}/codes: a code for paper, which the issuer's key signs. Nothing is kept of it,
// so it can't be taken back: what its subject is worth is the table's to say.
func (o *Origin) serveSign(rw http.ResponseWriter, req *http.Request) {
	const expected = `a code is asked for as {"from":"2026-11-26T08:00:00Z","until":"2026-12-26T08:00:00Z"}, the first now if it is left out`
	w, subject, problem := o.subjectOf(req)
	var order scanedge.CodeOrder
	if problem == nil {
		problem = readJSON(rw, req, maxOrder, expected, &order)
	}
	if problem != nil {
		problem.Write(rw)
		return
	}
	now := time.Now()
	if order.From.IsZero() {
		order.From = now
	}
	if err := checkCodeOrder(order, now); err != nil {
		unexpected(expected, err).Write(rw)
		return
	}
	from, until := order.From.Unix(), order.Until.Unix()
	code := passcode.Sign(w.secret.Key, w.secret.ID, []byte(subject), uint32(from), uint32(until))
	signed := scanedge.SignedCode{Code: code, From: time.Unix(from, 0).UTC(), Until: time.Unix(until, 0).UTC()}
	o.cfg.Logger.Info("a code was signed", "issuer", w.secret.ID, "from", signed.From, "until", signed.Until, o.operator(req).by())
	writeJSON(rw, signed)
}

// checkCodeOrder reports what no code can say, and what no edge would ever take.
func checkCodeOrder(c scanedge.CodeOrder, now time.Time) error {
	switch from, until := c.From.Unix(), c.Until.Unix(); {
	case c.Until.IsZero():
		return errors.New("until is missing")
	case from < 0 || until > math.MaxUint32:
		return errors.New("a code's time lies between 1970 and 2106")
	case until <= from:
		return fmt.Errorf("until is %s, which is not after from, %s", c.Until.Format(time.RFC3339), c.From.Format(time.RFC3339))
	case until <= now.Unix():
		return fmt.Errorf("until is %s, which has passed", c.Until.Format(time.RFC3339))
	}
	return nil
}
