package scanedge

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// DryRun computes what a push of the deltas would do, and applies nothing.
func (o *Origin) DryRun(ctx context.Context, issuer string, deltas []Delta) (Preview, error) {
	body, err := encode(issuer, deltas)
	if err != nil {
		return Preview{}, err
	}
	return o.DryRunReader(ctx, issuer, NDJSON, body)
}

// DryRunReader is DryRun of a body as [Origin.PushReader] takes it.
func (o *Origin) DryRunReader(ctx context.Context, issuer, contentType string, body io.Reader, options ...PushOption) (p Preview, err error) {
	err = o.change(ctx, "ask what a push would do to "+issuer, issuer, "?dry_run=1", contentType, body, gather(options), &p)
	return p, err
}

// PreviewReplace computes what it would do to make body, lines as [Origin.PushReader] takes them and of any number, the whole of an
// issuer's table: subjects that it does not name are removed. Of a subject that is there twice the last line counts. One such call,
// to Replace or to roll back is served at a time; others are the problem Busy.
func (o *Origin) PreviewReplace(ctx context.Context, issuer, contentType string, body io.Reader) (p Preview, err error) {
	err = o.change(ctx, "ask what a replacement would do to "+issuer, issuer, "?replace=1&dry_run=1", contentType, body, gather(nil), &p)
	return p, err
}

// Replace makes body the whole of an issuer's table, if that does what the accepted preview said: another body is the problem
// PreviewDiffers, and somebody's push since then OffsetMoved. It is applied in several batches, in order, and is not held for an
// approval. After another error some of them may have been applied; a new preview shows what is left.
func (o *Origin) Replace(ctx context.Context, issuer, contentType string, body io.Reader, accepted Preview, options ...PushOption) (a Applied, err error) {
	p := gather(options)
	p.header.Set("If-Match", `"`+strconv.FormatUint(accepted.Offset, 10)+`"`)
	p.header.Set("Scanedge-Digest", accepted.Digest)
	err = o.change(ctx, "replace all of "+issuer, issuer, "?replace=1", contentType, body, p, &a)
	return a, err
}

// change sends a body and reads the answer that comes.
func (o *Origin) change(ctx context.Context, what, issuer, query, contentType string, body io.Reader, p pushing, answer any) error {
	c := call{
		what: what, method: http.MethodPost, path: issuerPath(issuer) + "/deltas" + query, header: p.header,
		contentType: contentType, accept: "application/json", body: body, retry: p.retry, cap: maxAnswer,
	}
	if issuer == "" {
		p.fail(NewProblem(BadRequest, "no issuer is named"))
	}
	if p.err != nil {
		return o.server.failed(c, p.err)
	}
	b, err := o.server.do(ctx, c)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return o.server.failed(c, stranger("200 OK", b))
	}
	return nil
}
