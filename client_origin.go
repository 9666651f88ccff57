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
// [*Problem] under the error, nothing applied; the lines of a BadLines problem count the deltas from 1. After any other
// error, and after LogUnavailable, the batch may or may not be in the log: pushing it again is safe, since a delta sets the
// whole record.
func (o *Origin) Push(ctx context.Context, issuer string, deltas []Delta) (Receipt, error) {
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for i := range deltas {
		if !utf8.ValidString(deltas[i].Subject) { // JSON would put another subject in its place
			return Receipt{}, fmt.Errorf("push to %s: delta %d: subject %q is not UTF-8", issuer, i+1, deltas[i].Subject)
		}
		if err := lines.Encode(&deltas[i]); err != nil {
			return Receipt{}, fmt.Errorf("push to %s: delta %d: %w", issuer, i+1, err)
		}
	}
	return o.PushReader(ctx, issuer, NDJSON, &body)
}

// PushReader is Push with the body as it is: lines of contentType [NDJSON] or [CSV]; at most 256 MiB and 64 KiB a line. The
// lines of a BadLines problem count from the body's first, a CSV header included. A *bytes.Reader is sent with its length,
// other readers in chunks.
func (o *Origin) PushReader(ctx context.Context, issuer, contentType string, body io.Reader) (Receipt, error) {
	c := call{
		what: "push to " + issuer, method: http.MethodPost, path: "/v1/issuers/" + escape(issuer) + "/deltas",
		contentType: contentType, accept: "application/json", body: body, cap: maxAnswer,
	}
	if issuer == "" {
		return Receipt{}, o.server.failed(c, errors.New("no issuer is named"))
	}
	answer, err := o.server.do(ctx, c)
	if err != nil {
		return Receipt{}, err
	}
	var r Receipt
	if err := json.Unmarshal(answer, &r); err != nil || r.Offset == 0 {
		return Receipt{}, o.server.failed(c, stranger("200 OK", answer))
	}
	return r, nil
}
