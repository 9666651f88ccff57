package scanedge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"
)

// The content types of a push.
const (
	NDJSON = "application/x-ndjson" // a Delta's JSON a line
	CSV    = "text/csv"             // a header naming subject, status and, if wanted, until, reason, remove; then a row a delta
)

// Origin pushes to one origin. It is safe for concurrent use and keeps its connections open.
type Origin struct{ server server }

// NewOrigin returns a client of the origin at baseURL ("http://HOST:PORT", also with a path before /v1) with a push token.
// Nothing is sent yet: a wrong address or token shows in the first push.
func NewOrigin(baseURL, token string) *Origin {
	return &Origin{newServer(baseURL, token, 0)} // no limit of its own: a push takes as long as the caller's line
}

// Push appends deltas to an issuer's log as one batch, all or nothing; at most 1,000,000. When it returns without an error
// they are on the log's disk, and an edge shows them once it is at the receipt's offset. What the origin refuses is a
// [*Problem] under the error, nothing applied. One of type NeedsApproval says by its ID under which name the push is held until
// another token approves it, and by its Figures what it would do; sent again with the same key after that, the push gets its
// receipt. The lines of a BadLines problem count the deltas from 1. After any other
// error, and after LogUnavailable, the batch may or may not be in the log. With the same key ([WithKey]) it is safe to push
// again: it is applied once, in the place where it was first. Without one, pushing it again sets its records again, also
// where somebody else's push has set others since.
func (o *Origin) Push(ctx context.Context, issuer string, deltas []Delta, options ...PushOption) (Receipt, error) {
	p := gather(options)
	if p.encoding != "" {
		return Receipt{}, fmt.Errorf("push to %s: deltas are sent as they are; WithEncoding is for PushReader", issuer)
	}
	body, err := encode(issuer, deltas)
	if err != nil {
		return Receipt{}, err
	}
	return o.push(ctx, issuer, NDJSON, body, p)
}

// encode writes deltas a line each.
func encode(issuer string, deltas []Delta) (*bytes.Buffer, error) {
	body := new(bytes.Buffer)
	lines := json.NewEncoder(body)
	for i := range deltas {
		if !utf8.ValidString(deltas[i].Subject) { // JSON would put another subject in its place
			return nil, fmt.Errorf("push to %s: delta %d: subject %q is not UTF-8", issuer, i+1, deltas[i].Subject)
		}
		if err := lines.Encode(&deltas[i]); err != nil {
			return nil, fmt.Errorf("push to %s: delta %d: %w", issuer, i+1, err)
		}
	}
	return body, nil
}

// PushReader is Push with the body as it is: lines of contentType [NDJSON] or [CSV]; at most 256 MiB and 64 KiB a line. The
// lines of a BadLines problem count from the body's first, a CSV header included. A *bytes.Reader is sent with its length,
// other readers in chunks.
func (o *Origin) PushReader(ctx context.Context, issuer, contentType string, body io.Reader,
	options ...PushOption) (Receipt, error) {
	return o.push(ctx, issuer, contentType, body, gather(options))
}

func (o *Origin) push(ctx context.Context, issuer, contentType string, body io.Reader, p pushing) (Receipt, error) {
	c := call{
		what: "push to " + issuer, method: http.MethodPost, path: issuerPath(issuer) + "/deltas", header: p.header,
		contentType: contentType, accept: "application/json", body: body, retry: p.retry, cap: maxAnswer,
	}
	if p.err != nil {
		return Receipt{}, o.server.failed(c, p.err)
	}
	return o.receipt(ctx, issuer, c)
}

// Pushed asks whether the issuer's log has the push of a key ([WithKey]), and for its receipt, Replayed. A push of the last 24
// hours that is not found was not applied; one that is under way at this moment may be yet.
func (o *Origin) Pushed(ctx context.Context, issuer, key string) (receipt Receipt, found bool, err error) {
	c := call{
		what: "ask for a push to " + issuer, method: http.MethodGet, path: issuerPath(issuer) + "/pushes/" + escape(key),
		accept: "application/json", cap: maxAnswer,
	}
	if problem := checkKey(key); problem != nil {
		return Receipt{}, false, o.server.failed(c, problem)
	}
	receipt, err = o.receipt(ctx, issuer, c)
	if p := (*Problem)(nil); errors.As(err, &p) && p.Type == UnknownPush {
		return Receipt{}, false, nil
	}
	receipt.Replayed = err == nil
	return receipt, err == nil, err
}

func issuerPath(issuer string) string { return "/v1/issuers/" + escape(issuer) }

func (o *Origin) receipt(ctx context.Context, issuer string, c call) (Receipt, error) {
	if issuer == "" {
		return Receipt{}, o.server.failed(c, errors.New("no issuer is named"))
	}
	answer, err := o.server.ask(ctx, c)
	if err != nil {
		return Receipt{}, err
	}
	var r Receipt
	if err := json.Unmarshal(answer.body, &r); err != nil || r.Offset == 0 {
		return Receipt{}, o.server.failed(c, stranger("200 OK", answer.body))
	}
	r.Replayed = answer.header.Get("Idempotency-Replayed") == "true"
	return r, nil
}
